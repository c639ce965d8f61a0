//! What `fetch` saw of one `PresenceCluster` and what it owns, and the plain questions that `plan` and `status` ask of it.
//! Data: nothing here decides.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use kube::ResourceExt as _;
use presence_api::admin::{State, Stats};

use crate::desired::names::Component;
pub use crate::desired::names::{COMPONENT as COMPONENT_LABEL, REVISION as REVISION_LABEL};
use crate::object::ObjectRef;

/// What a pod is, says the label of its component: one of these.
pub const SERVER: &str = Component::Server.as_str();
pub const MIGRATION: &str = Component::Migration.as_str();

/// A pod that is still there this long after it had to be gone is lost with its node: nobody waits for it any longer.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(30);

#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Those we own, of any revision.
    pub deployments: Vec<Deployment>,
    pub jobs: Vec<Job>,
    /// Of Deployments and of migration Jobs.
    pub pods: Vec<SeenPod>,
    /// Everything else we own, to see what the spec no longer asks for. Secrets are never in it.
    pub others: Vec<Owned>,
    /// Objects that carry a name we need, and belong to somebody else.
    pub taken: Vec<ObjectRef>,
}

/// An object of ours of which no more needs to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub object: ObjectRef,
    pub uid: String,
    /// Its label [`REVISION_LABEL`].
    pub revision: Option<String>,
}

/// A pod, and what it says of itself.
#[derive(Clone, Debug)]
pub struct SeenPod {
    pub pod: Pod,
    /// What it said, lately at least. Absent where it is not known: that is neither zero agents nor safe.
    pub stats: Option<Stats>,
}

impl Observed {
    /// The pods that agents connect to. One that has ended for good is not among them.
    pub fn servers(&self) -> impl Iterator<Item = &SeenPod> {
        self.pods.iter().filter(|pod| pod.is(SERVER) && !pod.has_ended())
    }

    /// Server pods that are ending, or will be within what is left of their grace.
    pub fn terminating(&self, now: Timestamp) -> usize {
        self.servers().filter(|pod| pod.is_terminating() && !pod.is_lost(now)).count()
    }
}

impl SeenPod {
    pub fn is(&self, component: &str) -> bool {
        self.pod.labels().get(COMPONENT_LABEL).is_some_and(|label| label == component)
    }

    pub fn revision(&self) -> &str {
        self.pod.labels().get(REVISION_LABEL).map_or("", String::as_str)
    }

    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// A pod's deletion timestamp is when its grace ends.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        self.pod
            .metadata
            .deletion_timestamp
            .as_ref()
            .is_some_and(|ends| now.duration_since(ends.0) > LOST_AFTER)
    }

    /// Its containers have ended and are not started again: it was evicted, or its node was shut down.
    pub fn has_ended(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        self.pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
    }

    /// Ready, and not about to end.
    pub fn is_ready(&self) -> bool {
        !self.is_terminating()
            && !self.has_ended()
            && self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }

    /// It lets go of its agents, for whatever reason.
    pub fn is_draining(&self) -> bool {
        self.is_terminating()
            || self.stats.as_ref().is_some_and(|stats| stats.ending || stats.state != State::Serving)
    }

    pub fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = self.pod.status.as_ref();
        status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default().iter()
    }
}
