//! What `fetch` saw of one `PresenceCluster` and what it owns. Data for `plan` and `status`.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use presence_api::admin::Stats;

use crate::object::ObjectRef;

#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Those we own, of any revision.
    pub deployments: Vec<Deployment>,
    pub jobs: Vec<Job>,
    pub pods: Vec<SeenPod>,
    /// Everything else we own, to see what the spec no longer asks for.
    pub others: Vec<ObjectRef>,
    /// Objects that carry a name we need, and belong to somebody else.
    pub taken: Vec<ObjectRef>,
}

/// A pod, and what it says of itself.
#[derive(Clone, Debug)]
pub struct SeenPod {
    pub pod: Pod,
    /// Absent where it could not be asked. That is neither zero agents nor safe.
    pub stats: Option<Stats>,
}
