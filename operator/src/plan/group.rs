//! A Deployment with its pods, and what can be said of them. What was seen may be old, so whatever is taken for granted
//! must be said by the Deployment's status and by the pods alike.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use kube::ResourceExt as _;

use crate::observed::{Observed, REVISION_LABEL, SeenPod};

/// The pods of one revision.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) pods: Vec<&'a SeenPod>,
}

/// All of them, oldest first. A Deployment that is being deleted is none any more: only its pods count, while they last.
pub(crate) fn groups(observed: &Observed) -> Vec<Group<'_>> {
    let there = observed.deployments.iter().filter(|it| it.metadata.deletion_timestamp.is_none());
    let mut groups: Vec<_> = there.map(|deployment| Group::new(deployment, observed)).collect();
    groups.sort_by_key(|group| (group.deployment.creation_timestamp(), group.name().to_owned()));
    groups
}

/// The one of the wanted name, and the others.
pub(super) fn split<'a>(groups: Vec<Group<'a>>, wanted: &str) -> (Option<Group<'a>>, Vec<Group<'a>>) {
    let (mut wanted, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.name() == wanted);
    (wanted.pop(), others)
}

impl<'a> Group<'a> {
    fn new(deployment: &'a Deployment, observed: &'a Observed) -> Self {
        let revision = deployment.labels().get(REVISION_LABEL).map_or("", String::as_str);
        let pods = observed.servers().filter(|pod| pod.revision() == revision).collect();
        Self { deployment, pods }
    }

    pub(crate) fn name(&self) -> &'a str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn revision(&self) -> &'a str {
        self.deployment.labels().get(REVISION_LABEL).map_or("", String::as_str)
    }

    /// How many pods it is to have. The API server makes one of none.
    pub(crate) fn size(&self) -> i32 {
        self.deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    /// Pods that are there and not ending.
    pub(crate) fn present(&self) -> i32 {
        count(self.pods.iter().filter(|pod| !pod.is_terminating()))
    }

    pub(crate) fn ready(&self) -> i32 {
        count(self.pods.iter().filter(|pod| pod.is_ready()))
    }

    /// As many pods as `least` are ready, and have been for as long as a pod must be.
    pub(crate) fn has_ready(&self, least: i32) -> bool {
        let enough = |status: &DeploymentStatus| {
            status.available_replicas.unwrap_or(0) >= least && status.updated_replicas.unwrap_or(0) >= least
        };
        self.size() >= least && self.seen().is_some_and(enough) && self.ready() >= least
    }

    /// Whether ready pods reach the bus, as far as they say.
    pub(super) fn says_of_bus(&self, up: bool) -> bool {
        let said = self.pods.iter().filter(|pod| pod.is_ready()).filter_map(|pod| pod.stats.as_ref());
        said.into_iter().any(|stats| stats.bus == up)
    }

    /// It has no pod too many: what it was last told has been done, but for pods that are ending.
    pub(super) fn is_still(&self) -> bool {
        let replicas = self.seen().map(|status| status.replicas.unwrap_or(0));
        replicas.is_some_and(|replicas| replicas <= self.size()) && self.present() <= self.size()
    }

    /// It has no pods and is to have none.
    pub(super) fn is_empty(&self, now: Timestamp) -> bool {
        self.size() == 0 && self.is_still() && self.pods.iter().all(|pod| pod.is_lost(now))
    }

    /// Its status, where that answers what it was last told.
    fn seen(&self) -> Option<&'a DeploymentStatus> {
        let status = self.deployment.status.as_ref()?;
        (status.observed_generation >= self.deployment.metadata.generation).then_some(status)
    }
}

pub(super) fn count<T>(of: impl Iterator<Item = T>) -> i32 {
    i32::try_from(of.count()).unwrap_or(i32::MAX)
}
