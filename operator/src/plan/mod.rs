//! What to do now: a pure function of what ought to be, what is, and the time. One step at a time: what is returned may all
//! be done at once, in order, and the next look decides what follows. Nothing else decides which pods go, and when.

use std::time::Duration;

use jiff::Timestamp;

use crate::crd::PresenceCluster;
use crate::desired::Desired;
use crate::object::{Object, ObjectRef};
use crate::observed::Observed;

/// One write to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Server-side apply, unless it is so already.
    Apply(Box<Object>),
    /// How many pods a Deployment has. Written by a field manager of its own.
    Scale { deployment: String, replicas: i32 },
    /// Removes what is ours, and in the background what belongs to it (of a Job that is not the default). The uid guards
    /// against one that was made anew.
    Delete { object: ObjectRef, uid: Option<String> },
    /// The resource's finalizer, which holds its deletion until pods have let go of their agents.
    SetFinalizer(bool),
}

/// What is under way, for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The spec or what it refers to cannot be used; pods are as they were.
    Blocked,
    /// The resource is paused.
    Paused,
    /// The schema is being brought up to date.
    Migrating,
    /// The Job that does so failed.
    MigrationFailed,
    /// The wanted revision is not whole and ready.
    Starting,
    /// It is; others are being taken down.
    Replacing,
    /// The wanted revision has more pods than asked for.
    ScalingIn,
    /// As it ought to be.
    Settled,
    /// The resource is being deleted.
    Deleting,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub stage: Stage,
    /// In this order.
    pub actions: Vec<Action>,
    /// Look again after this, even if nothing is heard.
    pub again: Duration,
}

/// `desired` is absent where findings forbid that anything be changed ([`crate::validate::blocks`]).
pub fn plan(of: &PresenceCluster, desired: Option<&Desired>, observed: &Observed, now: Timestamp) -> Plan {
    let _ = (of, desired, observed, now);
    Plan { stage: Stage::Paused, actions: Vec::new(), again: Duration::from_secs(300) }
}
