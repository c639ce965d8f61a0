//! What is said of a `PresenceCluster`, from what was seen. Pure, and the same while nothing happens.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::crd::{ConditionType, PresenceCluster, PresenceClusterStatus, Reason};
use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::validate::Finding;

/// All that a status is made from, beside the resource with its former status.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Absent where findings forbid that anything be changed.
    pub desired: Option<&'a Desired>,
    pub findings: &'a [Finding],
    pub plan: &'a Plan,
    pub observed: &'a Observed,
    /// What the API server refused of the plan (403, 422), in its words.
    pub refused: Option<&'a str>,
}

/// A condition that has another reason than before. An Event is made of it, and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub condition: ConditionType,
    pub reason: Reason,
    pub message: String,
    pub warning: bool,
}

/// The former status is the resource's own. Where it differs from this one in nothing but `agents` (of the whole or of
/// pods), the caller need not write it each time: at most every ten seconds will do.
pub fn status(of: &PresenceCluster, view: View<'_>, now: Timestamp) -> PresenceClusterStatus {
    let _ = (view, now);
    of.status.clone().unwrap_or_default()
}

/// Which conditions have another reason than before.
pub fn changes(previous: Option<&PresenceClusterStatus>, new: &PresenceClusterStatus) -> Vec<Transition> {
    let _ = (previous, new);
    let _: Option<Condition> = None;
    Vec::new()
}
