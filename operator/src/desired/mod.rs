//! The objects that ought to be, from the spec and the [`Facts`](crate::facts::Facts) alone. Pure: the same spec and facts
//! give the same bytes. A file for each kind of object.

use std::fmt;

use crate::object::Object;

/// The name of a pod template with its settings: 10 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that ought to be of one `PresenceCluster`, but for how many pods each Deployment has: that is the plan's.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub revision: Revision,
    /// What no revision changes the name of, in the order in which it is applied: ServiceAccount, NetworkPolicies, Services,
    /// PodDisruptionBudget, Ingress or HTTPRoute, PodMonitor, HorizontalPodAutoscaler.
    pub base: Vec<Object>,
    /// The settings of this revision.
    pub config: Object,
    /// The Job that brings the schema up to date for this revision, where the operator is to do so.
    pub migration: Option<Object>,
    /// The Deployment of this revision, without `replicas`.
    pub deployment: Object,
}
