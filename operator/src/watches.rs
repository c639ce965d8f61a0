//! The watches that feed the caches: of `PresenceCluster`s themselves and of each kind that is made for them, in each scope.
//! They run whether this operator acts or stands by, so that it can take over at once.
//!
//! Calls: `list` and `watch`; API discovery for the two kinds that a cluster may not know.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, Pod, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ListParams},
    discovery::ApiResource,
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    caches::{Caches, INSTANCE, Keep, Kind, Listing, MANAGED_BY, Scope},
    crd::PresenceCluster,
    queue::{Key, Queue},
    telemetry::{Metrics, chain},
};

/// A watch is begun anew after this: a connection that died silently is noticed before a proxy's idle time has passed.
const WATCH_SECONDS: u32 = 190;
const PAGE: u32 = 500;
/// How often the API server is asked whether it has come to know a kind.
pub const DISCOVER: Duration = Duration::from_mins(5);

/// The resources of one scope, and which of them are to be looked at.
#[derive(Clone, Debug)]
pub struct Resources {
    pub scope: Scope,
    pub store: reflector::Store<DynamicObject>,
    pub queue: Arc<Queue>,
}

impl Resources {
    /// All that are known are to be looked at.
    pub fn look_at_all(&self) {
        self.store.state().iter().filter_map(|object| key(object)).for_each(|key| self.queue.push(key));
    }
}

/// Starts watches.
#[derive(Clone)]
pub struct Watches {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// What every cluster knows.
pub fn kinds() -> Vec<Kind> {
    fn of<K: Resource<DynamicType = ()>>(keep: Keep) -> Kind {
        Kind { resource: ApiResource::erase::<K>(&()), keep }
    }
    vec![
        of::<Deployment>(Keep::Whole),
        of::<Job>(Keep::Whole),
        of::<Pod>(Keep::Pod),
        of::<ConfigMap>(Keep::Spec),
        of::<HorizontalPodAutoscaler>(Keep::Spec),
        of::<Ingress>(Keep::Spec),
        of::<NetworkPolicy>(Keep::Spec),
        of::<PodDisruptionBudget>(Keep::Spec),
        of::<Service>(Keep::Spec),
        of::<ServiceAccount>(Keep::Spec),
    ]
}

/// What is kept of an object of this kind.
pub fn keep(kind: &str) -> Keep {
    match kind {
        "Deployment" | "Job" => Keep::Whole,
        "Pod" => Keep::Pod,
        _ => Keep::Spec,
    }
}

/// Whether the API server knows the kind, and how.
pub async fn discover(client: &Client, api_version: &str, kind: &str) -> Result<Option<Kind>, kube::Error> {
    let known = match client.list_api_group_resources(api_version).await {
        Ok(list) => list.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(found) = known.into_iter().find(|found| found.kind == kind && !found.name.contains('/')) else {
        return Ok(None);
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &found.name);
    Ok(Some(Kind { resource, keep: Keep::Spec }))
}

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

fn api(client: &Client, scope: &Scope, resource: &ApiResource) -> Api<DynamicObject> {
    match scope {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl Watches {
    /// Watches the resources of a scope.
    pub fn resources(&self, scope: &Scope) -> Resources {
        let resource = ApiResource::erase::<PresenceCluster>(&());
        let kind = Kind { resource: resource.clone(), keep: Keep::Whole };
        self.caches.expect(&kind, scope);
        let mut writer = reflector::store::Writer::new(resource.clone());
        let store = writer.as_reader();
        let queue = Arc::new(Queue::default());
        let watched = Resources { scope: scope.clone(), store: store.clone(), queue: Arc::clone(&queue) };
        let (this, scope) = (self.clone(), scope.clone());
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let events = watcher(api(&this.client, &scope, &resource), config()).default_backoff();
            let mut events = pin!(events.modify(|object| object.metadata.managed_fields = None));
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        let touched = touched(&store, &event);
                        writer.apply_watcher_event(&event);
                        for key in touched {
                            queue.push(key);
                        }
                        if matches!(event, watcher::Event::InitDone) {
                            this.caches.seen(&kind, &scope);
                        }
                    }
                    Err(error) => this.broke(&kind, &error),
                }
            }
        }));
        watched
    }

    /// Watches what is made of a kind in a scope.
    pub fn owned(&self, kind: Kind, resources: &Resources) {
        self.caches.expect(&kind, &resources.scope);
        let (this, scope, queue) = (self.clone(), resources.scope.clone(), Arc::clone(&resources.queue));
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let labels = format!("{}={},{INSTANCE}", MANAGED_BY.0, MANAGED_BY.1);
            let config = config().labels(&labels);
            let mut events =
                pin!(watcher(api(&this.client, &scope, &kind.resource), config).default_backoff());
            let mut listing = Listing::default();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => this.caches.hear((&kind, &scope), &mut listing, event, &queue),
                    Err(error) => this.broke(&kind, &error),
                }
            }
        }));
    }

    /// Whether the objects of a kind may be read.
    pub async fn may_list(&self, kind: &ApiResource, scope: &Scope) -> Result<(), kube::Error> {
        let params = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(1);
        api(&self.client, scope, kind).list_metadata(&params).await.map(drop)
    }

    fn broke(&self, kind: &Kind, error: &watcher::Error) {
        self.metrics.watch_failed();
        // A watch that has grown too old is begun anew: nothing is wrong.
        if matches!(error, watcher::Error::WatchError(status) if status.code == 410) {
            return;
        }
        let kind = &kind.resource.plural;
        tracing::warn!(kind, error = %chain(error), "a watch broke, and is tried again");
    }
}

/// Whom an event concerns. What we write ourselves, the status, concerns nobody.
fn touched(store: &reflector::Store<DynamicObject>, event: &watcher::Event<DynamicObject>) -> Vec<Key> {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            let former = store.get(&reflector::ObjectRef::from_obj_with(object, resource()));
            let changed = former.is_none_or(|former| concerns(&former) != concerns(object));
            changed.then(|| key(object)).flatten().into_iter().collect()
        }
        watcher::Event::Delete(object) => key(object).into_iter().collect(),
        watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
    }
}

fn resource() -> ApiResource {
    ApiResource::erase::<PresenceCluster>(&())
}

/// What of a resource is for us to act on.
fn concerns(of: &DynamicObject) -> impl PartialEq + use<'_> {
    let meta = &of.metadata;
    (&meta.uid, meta.generation, &meta.annotations, &meta.finalizers, &meta.deletion_timestamp)
}

/// Which resource it is.
pub fn key(of: &DynamicObject) -> Option<Key> {
    Some(Key { namespace: of.metadata.namespace.clone()?, name: of.metadata.name.clone()? })
}
