//! Writes to the API server, each only under the lease, each bounded in time.
//!
//! Calls, on the kinds that `desired` makes: `patch` (server-side apply; with `create`, where it makes the object), `delete`
//! with the object's uid, and `get` of the metadata before an object is first made, to see that its name is free. `patch` of
//! the `PresenceCluster` (its finalizer) and of its `status`. `create` and `update` of the Secret `NAME-internal`.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
    discovery::ApiResource,
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    caches::{Kind, trimmed, value},
    compare::{APPLIED, contains, hash, signed},
    crd::{PresenceCluster, PresenceClusterStatus},
    leader::{LeaderError, Term},
    memory::Memory,
    object::{Object, ObjectRef},
    plan::FINALIZER,
    telemetry::{Metrics, chain},
    watches::keep,
};

/// Whose fields the objects' are.
pub const MANAGER: &str = "presence-operator";
/// Whose `replicas` is.
pub const SCALE_MANAGER: &str = "presence-operator-scale";
/// One request. The lease leaves this long for a write that is under way when it ends.
const REQUEST: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Lease(#[from] LeaderError),
    #[error("the operator is ending")]
    Ending,
    #[error("{} {} belongs to somebody else", .0.kind, .0.name)]
    Taken(ObjectRef),
    #[error("{what}: {message}")]
    Refused { what: String, message: String },
    #[error("{what} was changed in the meantime")]
    Conflict { what: String },
    #[error("{what}: the API server does not answer")]
    TimedOut { what: String },
    #[error("{what}")]
    Failed { what: String, source: Box<kube::Error> },
}

/// Writes for one operator.
#[derive(Clone)]
pub struct Writer {
    pub client: Client,
    pub term: Term,
    pub stop: CancellationToken,
    pub metrics: Arc<Metrics>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Server-side apply, unless the live object is so already. Whether it was written.
    pub async fn apply(
        &self,
        (namespace, uid): (&str, &str),
        object: &Object,
        live: Option<&DynamicObject>,
        memory: &mut Memory,
    ) -> Result<bool, WriteError> {
        let name = object.reference();
        let applied = hash(&object.value);
        if let Some(live) = live {
            if owner(live).is_some_and(|owner| owner != uid) {
                return Err(WriteError::Taken(name));
            }
            let is_so = live.annotations().get(APPLIED) == Some(&applied)
                && (contains(&value(live), &object.value) || memory.rendered(&name, &applied, live));
            if is_so {
                return Ok(false);
            }
        }
        let mut sent = signed(&object.value);
        if live.is_none() {
            let found = standing(&self.client, namespace, uid, object).await;
            match found.map_err(|error| failure(&name, "get", error))? {
                Standing::Free => {}
                Standing::Taken => return Err(WriteError::Taken(name)),
                // It is there, and our watch has not shown it: what we would send is made for one that is not.
                Standing::Ours => return Err(WriteError::Conflict { what: what(&name, "apply") }),
            }
            if name.kind == "Deployment" {
                // It would begin with one pod otherwise, whatever it is scaled to next; the scaler takes the field over.
                sent["spec"]["replicas"] = json!(0);
            }
        }
        let api = self.api(namespace, &object.resource);
        let params = PatchParams::apply(MANAGER).force();
        let mut made =
            self.request(&name, "apply", api.patch(&object.name, &params, &Patch::Apply(&sent))).await;
        if let (Err(WriteError::Refused { .. }), Some(_), Some(list)) =
            (&made, live, keyed_list(&object.value))
        {
            // A port that somebody renumbered is merged with ours, and two of one name are refused: ours replace them all.
            let whole = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            self.request(&name, "patch", api.patch(&object.name, &whole, &Patch::Merge(&list))).await?;
            made = self.request(&name, "apply", api.patch(&object.name, &params, &Patch::Apply(&sent))).await;
        }
        let made = made?;
        let kind = Kind { resource: object.resource.clone(), keep: keep(&name.kind) };
        memory.wrote(name, applied, Arc::new(trimmed(&kind, made)));
        Ok(true)
    }

    /// How many pods a live Deployment has. To take pods away needs the lease to be asked for, and that the Deployment is
    /// still as it was seen.
    pub async fn scale(
        &self,
        namespace: &str,
        live: &DynamicObject,
        replicas: i32,
        memory: &mut Memory,
    ) -> Result<bool, WriteError> {
        let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
        let name = reference(&resource, &live.name_any());
        let now = live.data.pointer("/spec/replicas").and_then(Value::as_i64);
        if now == Some(i64::from(replicas)) {
            return Ok(false);
        }
        let mut sent = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": name.name },
            "spec": { "replicas": replicas },
        });
        if now.is_none_or(|now| now > i64::from(replicas)) {
            self.term.confirm().await?;
            sent["metadata"]["resourceVersion"] = json!(live.resource_version());
        }
        let api = self.api(namespace, &resource);
        let params = PatchParams::apply(SCALE_MANAGER).force();
        let made = self.request(&name, "scale", api.patch(&name.name, &params, &Patch::Apply(&sent))).await?;
        tracing::info!(namespace, deployment = name.name, from = now, to = replicas, "scaled");
        let kind = Kind { resource, keep: keep("Deployment") };
        memory.scaled(name, Arc::new(trimmed(&kind, made)));
        Ok(true)
    }

    /// Removes the very object that was seen. One that is gone, or was made anew, is no failure.
    pub async fn delete(
        &self,
        namespace: &str,
        resource: &ApiResource,
        (name, uid): (&ObjectRef, &str),
        memory: &mut Memory,
    ) -> Result<bool, WriteError> {
        self.term.confirm().await?;
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams::background().preconditions(preconditions);
        let api = self.api(namespace, resource);
        let gone = self.request(name, "delete", api.delete(&name.name, &params)).await;
        match gone {
            Ok(_) => tracing::info!(namespace, kind = name.kind, name = name.name, "removed"),
            Err(WriteError::Conflict { .. }) => {}
            Err(WriteError::Failed { source, .. }) if is_code(&source, 404) => {}
            Err(error) => return Err(error),
        }
        memory.removed(name);
        Ok(true)
    }

    /// Sets or lets go of the finalizer, where the resource is still as it was seen.
    pub async fn finalizer(&self, of: &PresenceCluster, wanted: bool) -> Result<bool, WriteError> {
        let mut finalizers = of.finalizers().to_vec();
        if finalizers.iter().any(|set| set == FINALIZER) == wanted {
            return Ok(false);
        }
        if wanted {
            finalizers.push(FINALIZER.to_owned());
        } else {
            self.term.confirm().await?;
            finalizers.retain(|set| set != FINALIZER);
        }
        let metadata = json!({ "finalizers": finalizers, "resourceVersion": of.resource_version() });
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let api: Api<PresenceCluster> = self.clusters(of);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let name = own_reference(of);
        self.request(&name, "patch", api.patch(&name.name, &params, &patch)).await?;
        Ok(true)
    }

    pub async fn status(
        &self,
        of: &PresenceCluster,
        status: &PresenceClusterStatus,
    ) -> Result<(), WriteError> {
        let name = own_reference(of);
        let sent = json!({ "apiVersion": name.api_version, "kind": name.kind, "status": status });
        let params = PatchParams::apply(MANAGER).force();
        let api: Api<PresenceCluster> = self.clusters(of);
        self.request(&name, "status", api.patch_status(&name.name, &params, &Patch::Apply(&sent))).await?;
        Ok(())
    }

    /// Makes a Secret, or replaces the version that was read.
    pub async fn secret(
        &self,
        namespace: &str,
        secret: &k8s_openapi::api::core::v1::Secret,
    ) -> Result<k8s_openapi::api::core::v1::Secret, WriteError> {
        let api: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(self.client.clone(), namespace);
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
        let name = reference(&resource, &secret.name_any());
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        if secret.metadata.resource_version.is_none() {
            self.request(&name, "create", api.create(&params, secret)).await
        } else {
            self.request(&name, "update", api.replace(&name.name, &params, secret)).await
        }
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    fn clusters(&self, of: &PresenceCluster) -> Api<PresenceCluster> {
        Api::namespaced(self.client.clone(), &of.namespace().unwrap_or_default())
    }

    async fn request<T>(
        &self,
        name: &ObjectRef,
        verb: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if self.stop.is_cancelled() {
            return Err(WriteError::Ending);
        }
        self.term.check()?;
        self.metrics.wrote(&name.kind, verb);
        let answer =
            timeout(REQUEST, request).await.map_err(|_| WriteError::TimedOut { what: what(name, verb) })?;
        tracing::debug!(kind = name.kind, name = name.name, verb, "wrote");
        answer.map_err(|error| failure(name, verb, error))
    }
}

/// The ports of a Service: server-side apply merges them by number.
fn keyed_list(of: &Value) -> Option<Value> {
    let ports = of.pointer("/spec/ports").filter(|_| of["kind"] == "Service")?;
    Some(json!({ "spec": { "ports": ports } }))
}

/// Who has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    /// We do; or nobody does, and it has our labels.
    Ours,
    Taken,
}

/// Who has the name of `object`.
pub async fn standing(
    client: &Client,
    namespace: &str,
    uid: &str,
    object: &Object,
) -> Result<Standing, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &object.resource);
    let Some(found) = api.get_metadata_opt(&object.name).await? else { return Ok(Standing::Free) };
    let owner = found.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let is_ours = if let Some(owner) = owner {
        owner.uid == uid
    } else {
        let ours = object.value.pointer("/metadata/labels").cloned().unwrap_or_default();
        ours.as_object().is_some_and(|ours| !ours.is_empty()) && contains(&json!(found.labels()), &ours)
    };
    Ok(if is_ours { Standing::Ours } else { Standing::Taken })
}

/// The uid of the controller that an object belongs to.
pub fn owner(of: &DynamicObject) -> Option<&str> {
    of.owner_references().iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

fn reference(resource: &ApiResource, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        name: name.to_owned(),
    }
}

fn own_reference(of: &PresenceCluster) -> ObjectRef {
    reference(&ApiResource::erase::<PresenceCluster>(&()), &of.name_any())
}

fn what(name: &ObjectRef, verb: &str) -> String {
    format!("{verb} {} {}", name.kind, name.name)
}

fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// Whether it is somebody's turn to act, or ours to try again.
fn failure(name: &ObjectRef, verb: &str, error: kube::Error) -> WriteError {
    let what = what(name, verb);
    match &error {
        kube::Error::Api(status) if status.code == 409 => WriteError::Conflict { what },
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 405 | 413 | 415 | 422) => {
            // It may quote what was sent: never of a Secret, unless it is the right to write it that is missing.
            let quotes = name.kind == "Secret" && status.code != 403;
            let message =
                if quotes { "the API server refuses it".to_owned() } else { status.message.clone() };
            WriteError::Refused { what, message }
        }
        _ => WriteError::Failed { what, source: Box::new(error) },
    }
}

impl WriteError {
    /// What is applied is made where it is not there: the API server answers so only of a kind that it does not know.
    pub fn is_of_no_such_kind(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if is_code(source, 404))
    }

    /// In one line, for the status: only where somebody has to act.
    pub fn refusal(&self) -> Option<String> {
        matches!(self, Self::Refused { .. }).then(|| chain(self))
    }
}
