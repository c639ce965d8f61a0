//! What the objects of a `PresenceCluster` are called, and the labels by which they and their pods are found.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt as _};

use super::{Revision, Unservable, unservable::MAX_NAME};
use crate::crd::PresenceCluster;

pub type Labels = BTreeMap<String, String>;

pub const NAME: &str = "app.kubernetes.io/name";
pub const INSTANCE: &str = "app.kubernetes.io/instance";
pub const COMPONENT: &str = "app.kubernetes.io/component";
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const REVISION: &str = "presence.rs/revision";
/// What `managed-by` is on everything of ours; the field manager, too.
pub const OPERATOR: &str = "presence-operator";
/// On pods: a fingerprint of all that they mount from Secrets.
pub const SECRETS: &str = "presence.rs/secrets";
/// Labels and annotations that begin so are the operator's.
pub const OURS: &str = "presence.rs/";

/// The ports of a pod, and what they are called.
pub const PUBLIC: (&str, i32) = ("http", 8080);
pub const INTERNAL: (&str, i32) = ("internal", 8081);
pub const METRICS: (&str, i32) = ("metrics", 8888);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Server,
    Migration,
}

impl Component {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Migration => "migration",
        }
    }
}

/// The Secret with the shared secret of the admin API.
pub fn internal_secret(cluster: &str) -> String {
    format!("{cluster}-internal")
}

/// The headless Service.
pub fn pods_service(cluster: &str) -> String {
    format!("{cluster}-pods")
}

/// The Deployment and the ConfigMap of a revision.
pub fn of_revision(cluster: &str, revision: &Revision) -> String {
    format!("{cluster}-{revision}")
}

/// The migration Job of a revision.
pub fn migration(cluster: &str, revision: &Revision) -> String {
    format!("{cluster}-migrate-{revision}")
}

/// What every object of ours carries.
pub fn labels(cluster: &str) -> Labels {
    let pairs = [(NAME, "presence"), (INSTANCE, cluster), (MANAGED_BY, OPERATOR)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Which pods are servers (or migrations) of this resource, of any revision.
pub fn pods_of(cluster: &str, component: Component) -> Labels {
    let pairs = [(NAME, "presence"), (INSTANCE, cluster), (COMPONENT, component.as_str())];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Which of them are of one revision.
pub fn pods_at(cluster: &str, component: Component, revision: &Revision) -> Labels {
    let mut labels = pods_of(cluster, component);
    labels.insert(REVISION.to_owned(), revision.0.clone());
    labels
}

pub(super) fn selector(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// The resource that everything is made for: how its objects are called, and that they are its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) of: &'a PresenceCluster,
    pub(super) name: &'a str,
}

impl<'a> Owner<'a> {
    pub(super) fn new(of: &'a PresenceCluster) -> Result<Self, Unservable> {
        let name = of.metadata.name.as_deref().unwrap_or_default();
        let bytes = name.as_bytes();
        let fits = bytes.len() <= MAX_NAME
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last().is_some_and(|last| *last != b'-')
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if fits { Ok(Self { of, name }) } else { Err(Unservable::Name { name: name.to_owned() }) }
    }

    /// Of an object that no revision changes the name of.
    pub(super) fn metadata(&self, name: impl Into<String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            namespace: self.of.namespace(),
            labels: Some(labels(self.name)),
            owner_references: self.reference().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// Of an object that belongs to one revision.
    pub(super) fn metadata_at(&self, name: String, component: Component, revision: &Revision) -> ObjectMeta {
        let mut metadata = self.metadata(name);
        let own = [(COMPONENT, component.as_str()), (REVISION, &revision.0)];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        metadata.labels.get_or_insert_default().extend(own);
        metadata
    }

    /// None for a resource that no API server has seen.
    fn reference(&self) -> Option<OwnerReference> {
        let mut owner = self.of.controller_owner_ref(&())?;
        owner.block_owner_deletion = Some(true);
        Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_still_makes_a_label() {
        let name = "a".repeat(MAX_NAME);
        assert_eq!(migration(&name, &Revision("0123456789".to_owned())).len(), 63);
    }
}
