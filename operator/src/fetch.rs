//! What is there of one resource: its objects from the caches, the Secrets it names, and what its pods say.
//!
//! Calls: `get` of Secrets by name, only those that the spec names and `NAME-internal`; `get` of the metadata of an object
//! that is to be made and is not ours, to see whether its name is free. At rest Secrets are read every five minutes, and
//! nothing else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt, api::DynamicObject};
use tokio::time::{Instant, timeout};

use crate::{
    apply::{Standing, owner, standing},
    caches::Caches,
    crd::{ConditionType, PresenceCluster},
    desired::{
        Desired,
        names::{self, internal_secret},
    },
    facts::Kinds,
    memory::{Kept, Memory, Secrets},
    object::{Object, ObjectRef},
    observed::{Observed, Owned, REVISION_LABEL},
    pods::Pods,
    queue::Key,
    rotate::Shared,
    validate::{References, Wanted, findings, wanted},
};

/// How long what Secrets hold is taken to be so.
pub const SECRETS_AT_REST: Duration = Duration::from_mins(5);
/// The same while one of them is not as it must be.
const SECRETS_WHILE_WRONG: Duration = Duration::from_secs(3);
/// One request.
const REQUEST: Duration = Duration::from_secs(5);
/// Requests at a time for one resource.
const AT_A_TIME: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{what} cannot be read")]
    Unreadable { what: String, source: Box<kube::Error> },
    #[error("{what} cannot be read: the API server does not answer")]
    TimedOut { what: String },
    #[error("{what} cannot be understood")]
    Unclear { what: String, source: serde_json::Error },
}

/// The objects of one resource, by name.
pub type Live = HashMap<ObjectRef, Arc<DynamicObject>>;

#[derive(Clone)]
pub struct Fetcher {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub pods: Pods,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

impl Fetcher {
    /// What the Secrets look like: as remembered, or read anew.
    pub async fn secrets(&self, of: &PresenceCluster, memory: &mut Memory) -> Result<Secrets, FetchError> {
        if let Some(known) = memory.secrets.take().filter(|known| is_fresh(of, known)) {
            memory.secrets = Some(known.clone());
            return Ok(known);
        }
        let wanted = wanted(of);
        let namespace = of.namespace().unwrap_or_default();
        let (shared, kept) = match self.secret(&namespace, &internal_secret(&of.name_any())).await? {
            Got::Found(secret) => kept(of, &secret),
            Got::Absent | Got::Forbidden => (None, Kept::Absent),
        };
        let mut references = References::new(shared.as_ref());
        let mut found = stream::iter(References::names(&wanted))
            .map(|name| {
                let namespace = &namespace;
                async move { (self.secret(namespace, &name).await, name) }
            })
            .buffered(AT_A_TIME);
        while let Some((secret, name)) = found.next().await {
            remember(&mut references, &name, secret?, &wanted);
        }
        drop(found);
        let secrets =
            Secrets { generation: of.metadata.generation, at: Instant::now(), references, shared, kept };
        memory.secrets = Some(secrets.clone());
        Ok(secrets)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Got, FetchError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("Secret {name}");
        let got =
            timeout(REQUEST, api.get_opt(name)).await.map_err(|_| FetchError::TimedOut { what: what() })?;
        match got {
            Ok(Some(secret)) => Ok(Got::Found(Box::new(secret))),
            Ok(None) => Ok(Got::Absent),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Got::Forbidden),
            Err(error) => Err(FetchError::Unreadable { what: what(), source: Box::new(error) }),
        }
    }

    /// Its objects, with what we wrote and the watches have not shown yet.
    pub fn live(&self, key: &Key, memory: &mut Memory) -> Live {
        memory.overlay(self.caches.of(key).into_iter().collect())
    }

    /// What `plan` and `status` are made from.
    pub async fn observed(
        &self,
        of: &PresenceCluster,
        live: &Live,
        secrets: &Secrets,
    ) -> Result<Observed, FetchError> {
        let uid = of.uid().unwrap_or_default();
        let mut observed = Observed::default();
        let mut pods: Vec<Pod> = Vec::new();
        for (name, object) in live {
            let ours = owner(object) == Some(&uid);
            match name.kind.as_str() {
                // A pod belongs to a ReplicaSet or a Job that belongs to us: it is found by its labels.
                "Pod" => pods.push(typed(name, object)?),
                "Deployment" if ours => observed.deployments.push(typed(name, object)?),
                "Job" if ours => observed.jobs.push(typed(name, object)?),
                _ if ours => observed.others.push(Owned {
                    object: name.clone(),
                    uid: object.uid().unwrap_or_default(),
                    revision: object.labels().get(REVISION_LABEL).cloned(),
                }),
                _ => {}
            }
        }
        // The order of what was seen is not to show in what is done or said.
        observed.deployments.sort_by_key(ResourceExt::name_any);
        observed.jobs.sort_by_key(ResourceExt::name_any);
        observed.others.sort_by(|one, other| one.object.cmp(&other.object));
        pods.sort_by_key(ResourceExt::name_any);
        let secret = secrets.shared.as_ref().map(|shared| shared.secret().expose());
        observed.pods = self.pods.ask(pods, secret).await;
        Ok(observed)
    }

    /// Which of the names that are needed belong to somebody else. One that was seen to be free is not asked for again: before
    /// an object is made, it is looked at once more.
    pub async fn taken(
        &self,
        of: &PresenceCluster,
        desired: &Desired,
        live: &Live,
        free: &mut BTreeSet<ObjectRef>,
    ) -> Result<Vec<ObjectRef>, FetchError> {
        let (namespace, uid) = (of.namespace().unwrap_or_default(), of.uid().unwrap_or_default());
        let mut taken = Vec::new();
        for object in all(desired) {
            let name = object.reference();
            if let Some(found) = live.get(&name) {
                if owner(found).is_some_and(|owner| owner != uid) {
                    taken.push(name);
                }
            } else if !free.contains(&name) {
                let what = || format!("{} {}", name.kind, name.name);
                let asked = timeout(REQUEST, standing(&self.client, &namespace, &uid, object)).await;
                let standing = asked
                    .map_err(|_| FetchError::TimedOut { what: what() })?
                    .map_err(|error| FetchError::Unreadable { what: what(), source: Box::new(error) })?;
                if standing == Standing::Taken {
                    taken.push(name);
                } else {
                    free.insert(name);
                }
            }
        }
        Ok(taken)
    }
}

/// Everything that is desired, in no particular order.
fn all(desired: &Desired) -> impl Iterator<Item = &Object> {
    desired.base.iter().chain([&desired.config, &desired.deployment]).chain(&desired.migration)
}

enum Got {
    Found(Box<Secret>),
    Absent,
    Forbidden,
}

/// The shared secret, and how it is kept. It is ours where we control it, or where nobody does and it has our labels.
fn kept(of: &PresenceCluster, secret: &Secret) -> (Option<Shared>, Kept) {
    let controller = secret.owner_references().iter().find(|owner| owner.controller == Some(true));
    let is_labelled =
        || names::labels(&of.name_any()).iter().all(|(key, value)| secret.labels().get(key) == Some(value));
    if !controller.map_or_else(is_labelled, |owner| Some(&owner.uid) == of.metadata.uid.as_ref()) {
        return (None, Kept::Theirs);
    }
    let shared = Shared::read(secret);
    let version = secret.resource_version();
    // Without an owner it would outlive the resource.
    let is_whole = controller.is_some() && shared.as_ref().is_some_and(|shared| shared.is_held_by(secret));
    (shared, if is_whole { Kept::Whole(version) } else { Kept::Damaged(version) })
}

fn remember(references: &mut References, name: &str, got: Got, wanted: &[Wanted]) {
    match got {
        Got::Found(secret) => references.present(name, &secret, wanted),
        Got::Absent => references.absent(name),
        Got::Forbidden => references.forbidden(name),
    }
}

fn is_fresh(of: &PresenceCluster, known: &Secrets) -> bool {
    let findings = findings(of, &known.references, Kinds { pod_monitor: true, http_route: true });
    // A password that is well written and not the right one shows itself only in what comes of it.
    let wrong = !matches!(known.kept, Kept::Whole(_)) || !findings.is_empty() || is_degraded(of);
    let lasts = if wrong { SECRETS_WHILE_WRONG } else { SECRETS_AT_REST };
    known.generation == of.metadata.generation && known.at.elapsed() < lasts
}

fn is_degraded(of: &PresenceCluster) -> bool {
    let degraded = ConditionType::Degraded.as_str();
    let conditions = of.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|it| it.type_ == degraded && it.status == "True")
}

fn typed<T: serde::de::DeserializeOwned>(name: &ObjectRef, object: &DynamicObject) -> Result<T, FetchError> {
    let value = crate::caches::value(object);
    serde_json::from_value(value)
        .map_err(|source| FetchError::Unclear { what: format!("{} {}", name.kind, name.name), source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        plan::fixture::cluster,
        rotate::{self, Word},
    };

    /// `NAME-internal` as it was written, but for what is said here.
    fn stands(change: impl FnOnce(&mut Secret)) -> Kept {
        let of = cluster();
        let word = || Word::new("0123456789abcdef").unwrap();
        let shared = rotate::next(None, None, false, word).unwrap();
        let owner = json!([{
            "apiVersion": "presence.rs/v1alpha1", "kind": "PresenceCluster", "name": of.name_any(),
            "uid": of.uid().unwrap(), "controller": true,
        }]);
        let mut secret = Secret { data: Some(shared.data()), ..Secret::default() };
        secret.metadata.owner_references = serde_json::from_value(owner).unwrap();
        secret.metadata.annotations = Some(shared.annotations());
        secret.metadata.labels = Some(names::labels(&of.name_any()));
        secret.metadata.resource_version = Some("7".to_owned());
        change(&mut secret);
        let (shared, kept) = kept(&of, &secret);
        assert_eq!(shared.is_none(), kept == Kept::Theirs, "a shared secret of others is not used");
        kept
    }

    #[test]
    fn a_shared_secret_of_ours_is_mended_and_one_of_others_is_left_alone() {
        let version = || Some("7".to_owned());
        assert_eq!(stands(|_| {}), Kept::Whole(version()));
        let damaged = Kept::Damaged(version());
        assert_eq!(stands(|it| drop(it.data.as_mut().unwrap().remove(rotate::ACCEPTED))), damaged);
        assert_eq!(stands(|it| it.metadata.annotations = None), damaged);
        assert_eq!(
            stands(|it| it.metadata.owner_references = None),
            damaged,
            "it would outlive the resource"
        );
        let theirs = |it: &mut Secret| it.metadata.owner_references.as_mut().unwrap()[0].uid = "other".into();
        assert_eq!(stands(theirs), Kept::Theirs);
        let nobodys = |it: &mut Secret| (it.metadata.owner_references, it.metadata.labels) = (None, None);
        assert_eq!(stands(nobodys), Kept::Theirs);
    }
}
