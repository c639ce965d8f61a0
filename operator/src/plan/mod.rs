//! What to do now: a pure function of what ought to be, what is, and the time. One step at a time: what is returned may all
//! be done at once, in order, and the next look decides what follows. Nothing else decides which pods go, and when.

mod deletion;
mod group;
mod migration;
mod prune;
mod sizes;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod simulation;

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::crd::{ConditionType, PresenceCluster};
use crate::desired::Desired;
use crate::object::{Object, ObjectRef};
use crate::observed::Observed;

pub(crate) use group::groups;
pub(crate) use migration::{Run, run};

/// Holds a resource that is being deleted until its pods have let go of their agents.
pub const FINALIZER: &str = "presence.rs/drain";

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
    /// The resource's finalizer, [`FINALIZER`]: set, or let go of.
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
    /// The wanted revision has more pods than asked for, or some of them are still ending.
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

impl Plan {
    /// What would be heard of, if it happens, is looked at now and then all the same.
    const AT_REST: Duration = Duration::from_mins(5);

    const fn idle(stage: Stage) -> Self {
        Self { stage, actions: Vec::new(), again: Self::AT_REST }
    }
}

/// `desired` is absent where findings forbid that anything be changed ([`crate::validate::blocks`]). A deletion goes on all
/// the same: neither a broken reference nor a pause may hold it for ever.
pub fn plan(of: &PresenceCluster, desired: Option<&Desired>, observed: &Observed, now: Timestamp) -> Plan {
    if of.metadata.deletion_timestamp.is_some() {
        return deletion::plan(of, observed, now);
    }
    if of.spec.paused {
        return Plan::idle(Stage::Paused);
    }
    match desired {
        Some(desired) if observed.taken.is_empty() => Step { of, desired, observed, now }.plan(),
        // Secrets are not watched, and one that is mended should be seen at once; less so the longer it takes.
        Some(_) | None => {
            let since = since(of, ConditionType::Degraded, "True");
            let again = growing(since, now, Duration::from_secs(5), Duration::from_secs(30));
            Plan { stage: Stage::Blocked, actions: Vec::new(), again }
        }
    }
}

struct Step<'a> {
    of: &'a PresenceCluster,
    desired: &'a Desired,
    observed: &'a Observed,
    now: Timestamp,
}

impl Step<'_> {
    fn plan(&self) -> Plan {
        let mut actions = self.finalizer();
        actions.extend(self.desired.base.iter().map(apply));
        let migration = migration::step(self.of, self.desired, self.observed, self.now);
        if !migration.actions.is_empty() {
            // Its pods may need the settings.
            actions.push(apply(&self.desired.config));
        }
        actions.extend(migration.actions);
        let (wanted, others) = group::split(groups(self.observed), &self.desired.deployment.name);
        // Where the Deployment is there, its schema was: a Job that is gone since may run again beside it.
        let (stage, again) = if migration.done || wanted.is_some() {
            let sizes = sizes::Sizes::new(self.of.spec.replicas, wanted, &others, self.observed, self.now);
            let (stage, changes) = sizes.step();
            if sizes.may_exist() {
                actions.extend([apply(&self.desired.config), apply(&self.desired.deployment)]);
            }
            actions.extend(changes.map(|(name, replicas)| Action::Scale {
                deployment: name.unwrap_or(&self.desired.deployment.name).to_owned(),
                replicas,
            }));
            (stage, again(stage))
        } else {
            (migration.stage, migration.again)
        };
        actions.extend(prune::prune(self.desired, self.observed, self.now));
        Plan { stage, actions, again }
    }

    fn finalizer(&self) -> Vec<Action> {
        let wished = self.of.spec.drain.on_delete;
        if wished == has_finalizer(self.of) { Vec::new() } else { vec![Action::SetFinalizer(wished)] }
    }
}

fn apply(object: &Object) -> Action {
    Action::Apply(Box::new(object.clone()))
}

fn has_finalizer(of: &PresenceCluster) -> bool {
    of.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Most of what happens is heard of. Two things are not: that a pod is lost, and that it is late.
const fn again(stage: Stage) -> Duration {
    match stage {
        Stage::Settled => Plan::AT_REST,
        _ => Duration::from_secs(10),
    }
}

/// Since when a condition has had this status, as the former status says.
pub(crate) fn since(of: &PresenceCluster, condition: ConditionType, status: &str) -> Option<Timestamp> {
    let name = format!("{condition:?}");
    let conditions = &of.status.as_ref()?.conditions;
    let found = conditions.iter().find(|found| found.type_ == name && found.status == status)?;
    Some(found.last_transition_time.0)
}

/// A wait that grows with how long there has been something to wait for, so that no count of tries need be kept.
fn growing(since: Option<Timestamp>, now: Timestamp, least: Duration, most: Duration) -> Duration {
    let passed = since.map_or(0, |since| now.duration_since(since).as_secs());
    Duration::from_secs(u64::try_from(passed / 4).unwrap_or(0)).clamp(least, most)
}
