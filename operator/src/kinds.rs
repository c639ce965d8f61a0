//! Which kinds the API server knows beside its own, `HTTPRoute` and `PodMonitor`: asked at the start and every few minutes,
//! since they may be installed later. One that may not be read counts as unknown, and the log says what to grant.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use kube::discovery::ApiResource;
use tokio::time::sleep;

use crate::{
    facts::Kinds,
    object::ObjectRef,
    telemetry::chain,
    watches::{DISCOVER, Resources, Watches, discover, kinds},
};

const HTTP_ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");
const POD_MONITOR: (&str, &str) = ("monitoring.coreos.com/v1", "PodMonitor");

#[derive(Debug)]
pub struct KnownKinds(RwLock<BTreeMap<(String, String), ApiResource>>);

impl Default for KnownKinds {
    fn default() -> Self {
        Self(RwLock::new(kinds().into_iter().map(|kind| entry(kind.resource)).collect()))
    }
}

fn entry(resource: ApiResource) -> ((String, String), ApiResource) {
    ((resource.api_version.clone(), resource.kind.clone()), resource)
}

impl KnownKinds {
    pub fn get(&self) -> Kinds {
        Kinds { pod_monitor: self.knows(POD_MONITOR), http_route: self.knows(HTTP_ROUTE) }
    }

    /// How the objects of a kind are addressed.
    pub fn resource(&self, of: &ObjectRef) -> Option<ApiResource> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(of.api_version.clone(), of.kind.clone())).cloned()
    }

    fn knows(&self, (api_version, kind): (&str, &str)) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Asks once. What is new is watched from now on.
    pub async fn ask(&self, watches: &Watches, resources: &[Resources]) {
        for (api_version, kind) in [HTTP_ROUTE, POD_MONITOR] {
            if self.knows((api_version, kind)) {
                continue;
            }
            match discover(&watches.client, api_version, kind).await {
                Ok(Some(found)) => {
                    if let Err(error) = may_list(watches, &found.resource, resources).await {
                        tracing::warn!(kind, error = %chain(&error), "a kind is there that the operator may not read");
                        continue;
                    }
                    for resources in resources {
                        watches.owned(found.clone(), resources);
                    }
                    tracing::info!(kind, "this cluster knows a kind");
                    let (name, resource) = entry(found.resource);
                    self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, resource);
                    resources.iter().for_each(Resources::look_at_all);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(kind, error = %chain(&error), "the API server does not say which kinds it knows");
                }
            }
        }
    }

    /// Asks again and again.
    pub async fn keep_asking(&self, watches: &Watches, resources: &[Resources]) {
        loop {
            sleep(DISCOVER).await;
            self.ask(watches, resources).await;
        }
    }
}

async fn may_list(watches: &Watches, kind: &ApiResource, resources: &[Resources]) -> Result<(), kube::Error> {
    for resources in resources {
        watches.may_list(kind, &resources.scope).await?;
    }
    Ok(())
}
