//! The Job that brings the schema up to date before a revision serves: made once, and made anew after it failed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::{Action, Plan, Stage, apply, growing, since};
use crate::crd::{ConditionType, PresenceCluster};
use crate::desired::Desired;
use crate::observed::Observed;

/// How a migration Job goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Running,
    Succeeded,
    /// It is given up, since then.
    Failed(Option<Timestamp>),
}

pub(crate) fn run(job: &Job) -> Run {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let holds = |type_: &str| conditions.iter().find(|found| found.type_ == type_ && found.status == "True");
    if holds("Complete").is_some() {
        Run::Succeeded
    } else if let Some(failed) = holds("Failed") {
        Run::Failed(failed.last_transition_time.as_ref().map(|time| time.0))
    } else {
        Run::Running
    }
}

pub(super) struct Step {
    /// The schema is as the wanted revision needs it.
    pub(super) done: bool,
    pub(super) stage: Stage,
    pub(super) actions: Vec<Action>,
    pub(super) again: Duration,
}

/// A Job that is there is never applied again: its template cannot change.
pub(super) fn step(of: &PresenceCluster, desired: &Desired, observed: &Observed, now: Timestamp) -> Step {
    let step = |done, stage, actions| Step { done, stage, actions, again: Duration::from_secs(10) };
    let Some(wanted) = &desired.migration else { return step(true, Stage::Settled, Vec::new()) };
    let Some(job) = observed.jobs.iter().find(|job| job.name_any() == wanted.name) else {
        return step(false, Stage::Migrating, vec![apply(wanted)]);
    };
    if job.metadata.deletion_timestamp.is_some() {
        return step(false, Stage::Migrating, Vec::new());
    }
    match run(job) {
        Run::Succeeded => step(true, Stage::Settled, Vec::new()),
        Run::Running => step(false, Stage::Migrating, Vec::new()),
        Run::Failed(at) => {
            let left = before_another_try(of, at, now);
            let over = left.is_zero();
            let delete = Action::Delete { object: wanted.reference(), uid: job.uid() };
            let actions = if over { vec![delete] } else { Vec::new() };
            Step {
                again: left.clamp(Duration::from_secs(1), Plan::AT_REST),
                ..step(false, Stage::MigrationFailed, actions)
            }
        }
    }
}

/// The longer the schema has been behind, the longer: from ten seconds up to five minutes.
fn before_another_try(of: &PresenceCluster, failed: Option<Timestamp>, now: Timestamp) -> Duration {
    let failed = failed.unwrap_or(now);
    let behind = since(of, ConditionType::MigrationsApplied, "False");
    let wait = growing(behind, failed, Duration::from_secs(10), Duration::from_mins(5));
    let passed = Duration::try_from(now.duration_since(failed)).unwrap_or_default();
    wait.saturating_sub(passed)
}
