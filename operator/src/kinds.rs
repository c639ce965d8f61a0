//! Which kinds the API server knows beside its own, `HTTPRoute` and `PodMonitor`: asked at the start and every few minutes,
//! since they may be installed later or taken away; within seconds where a resource misses one. One that may not be read counts
//! as unknown, and the log says what to grant.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use kube::discovery::ApiResource;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    caches::Kind,
    facts::Kinds,
    object::ObjectRef,
    telemetry::chain,
    watches::{DISCOVER, Resources, Watches, discover, kinds},
};

const HTTP_ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");
const POD_MONITOR: (&str, &str) = ("monitoring.coreos.com/v1", "PodMonitor");
/// The least time between two questions, however many resources miss a kind.
const MISSED: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct KnownKinds {
    known: RwLock<BTreeMap<(String, String), Known>>,
    missed: Notify,
}

#[derive(Debug)]
struct Known {
    resource: ApiResource,
    /// Ends its watches; of every cluster's kinds, nothing.
    watched: CancellationToken,
}

impl Default for KnownKinds {
    fn default() -> Self {
        let entry = |kind: Kind| entry(kind.resource, CancellationToken::new());
        Self { known: RwLock::new(kinds().into_iter().map(entry).collect()), missed: Notify::new() }
    }
}

fn entry(resource: ApiResource, watched: CancellationToken) -> ((String, String), Known) {
    ((resource.api_version.clone(), resource.kind.clone()), Known { resource, watched })
}

fn name((api_version, kind): (&str, &str)) -> (String, String) {
    (api_version.to_owned(), kind.to_owned())
}

impl KnownKinds {
    pub fn get(&self) -> Kinds {
        Kinds { pod_monitor: self.knows(POD_MONITOR), http_route: self.knows(HTTP_ROUTE) }
    }

    /// How the objects of a kind are addressed.
    pub fn resource(&self, of: &ObjectRef) -> Option<ApiResource> {
        self.read().get(&(of.api_version.clone(), of.kind.clone())).map(|known| known.resource.clone())
    }

    /// Somebody needs a kind that is not known, or was refused one that is: the API server is asked soon.
    pub fn missed(&self) {
        self.missed.notify_one();
    }

    fn knows(&self, of: (&str, &str)) -> bool {
        self.read().contains_key(&name(of))
    }

    /// Asks once. What is new is watched from now on; what is gone is not any more.
    pub async fn ask(&self, watches: &Watches, resources: &[Resources]) {
        for of in [HTTP_ROUTE, POD_MONITOR] {
            let (api_version, kind) = of;
            match discover(&watches.client, api_version, kind).await {
                Ok(Some(found)) if !self.knows(of) => self.learn(found, watches, resources).await,
                Ok(None) if self.knows(of) => self.forget(of, watches, resources),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(kind, error = %chain(&error), "the API server does not say which kinds it knows");
                }
            }
        }
    }

    async fn learn(&self, found: Kind, watches: &Watches, resources: &[Resources]) {
        let kind = found.resource.kind.as_str();
        if let Err(error) = may_list(watches, &found.resource, resources).await {
            // Of a kind that is new the API server may not have made the storage yet, and says so.
            if !matches!(&error, kube::Error::Api(status) if status.code == 403) {
                self.missed();
            }
            tracing::warn!(kind, error = %chain(&error), "a kind is there that the operator may not read");
            return;
        }
        tracing::info!(kind, "this cluster knows a kind");
        let watches = Watches { stop: watches.stop.child_token(), ..watches.clone() };
        for resources in resources {
            watches.owned(found.clone(), resources);
        }
        let (name, known) = entry(found.resource, watches.stop);
        self.write().insert(name, known);
        resources.iter().for_each(Resources::look_at_all);
    }

    /// With the kind all its objects are gone. Whatever was still to be made of it would be refused for ever.
    fn forget(&self, of: (&str, &str), watches: &Watches, resources: &[Resources]) {
        let Some(known) = self.write().remove(&name(of)) else { return };
        tracing::warn!(kind = of.1, "this cluster knows a kind no more");
        known.watched.cancel();
        watches.caches.forget(&known.resource);
        resources.iter().for_each(Resources::look_at_all);
    }

    /// Asks again and again.
    pub async fn keep_asking(&self, watches: &Watches, resources: &[Resources]) {
        loop {
            if timeout(DISCOVER, self.missed.notified()).await.is_ok() {
                sleep(MISSED).await;
            }
            self.ask(watches, resources).await;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<(String, String), Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<(String, String), Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn may_list(watches: &Watches, kind: &ApiResource, resources: &[Resources]) -> Result<(), kube::Error> {
    for resources in resources {
        watches.may_list(kind, &resources.scope).await?;
    }
    Ok(())
}
