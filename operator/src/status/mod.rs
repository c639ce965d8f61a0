//! What is said of a `PresenceCluster`, from what was seen. Pure, and the same while nothing happens: no message holds what
//! changes by itself.

mod changes;
mod conditions;
mod faults;
mod grace;
mod pods;
mod words;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;

use crate::crd::{ConditionType, PodPhase, PodStatus, PresenceCluster, PresenceClusterStatus, Reason};
use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::{Plan, Stage};
use crate::validate::{self, Finding};

pub use changes::{Transition, changes};

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

/// The former status is the resource's own. Where it differs from this one in nothing but `agents` (of the whole or of
/// pods), the caller need not write it each time: at most every ten seconds will do.
pub fn status(of: &PresenceCluster, view: View<'_>, now: Timestamp) -> PresenceClusterStatus {
    let pods = pods::pods(view.observed);
    let scene = Scene::new(of, view, &pods, now);
    let mut conditions: Vec<_> = ConditionType::ALL.into_iter().map(|it| scene.condition(it)).collect();
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    let among =
        |phase| i32::try_from(pods.iter().filter(|pod| pod.phase == phase).count()).unwrap_or(i32::MAX);
    PresenceClusterStatus {
        observed_generation: of.metadata.generation,
        conditions,
        revision: scene.revision.clone(),
        serving: among(PodPhase::Serving),
        draining: among(PodPhase::Draining),
        agents: pods.iter().filter_map(|pod| pod.agents).sum(),
        selector: pods::selector(&of.name_any()),
        pods,
    }
}

/// What conditions are judged by.
struct Scene<'a> {
    of: &'a PresenceCluster,
    view: View<'a>,
    pods: &'a [PodStatus],
    /// The wanted one; where that cannot be told, the one that was wanted before.
    revision: Option<String>,
    /// The findings with the names that others have; none while the resource is being deleted.
    findings: Vec<Finding>,
    now: Timestamp,
}

/// One condition's status, without its times.
struct Verdict {
    status: &'static str,
    reason: Reason,
    message: String,
}

impl Verdict {
    fn new(status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }
}

impl<'a> Scene<'a> {
    fn new(of: &'a PresenceCluster, view: View<'a>, pods: &'a [PodStatus], now: Timestamp) -> Self {
        let former = of.status.as_ref().and_then(|status| status.revision.clone());
        let revision = view.desired.map(|desired| desired.revision.0.clone()).or(former);
        let mut findings = view.findings.to_vec();
        findings.extend(validate::taken(&view.observed.taken));
        findings.sort_by_key(|finding| !finding.blocks);
        if view.plan.stage == Stage::Deleting {
            findings.clear();
        }
        Self { of, view, pods, revision, findings, now }
    }

    fn condition(&self, type_: ConditionType) -> Condition {
        let Verdict { status, reason, message } = self.verdict(type_);
        let former = self.former(type_);
        let unchanged = former.filter(|former| former.status == status);
        // The API keeps whole seconds.
        let now = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        Condition {
            type_: format!("{type_:?}"),
            status: status.to_owned(),
            reason: format!("{reason:?}"),
            message: words::bounded(&message, 1024),
            observed_generation: self.of.metadata.generation,
            last_transition_time: unchanged.map_or(Time(now), |former| former.last_transition_time.clone()),
        }
    }

    fn former(&self, type_: ConditionType) -> Option<&'a Condition> {
        let name = format!("{type_:?}");
        self.of.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == name)
    }

    fn stage(&self) -> Stage {
        self.view.plan.stage
    }

    /// Pods that serve: of the wanted revision, and of others.
    fn serving(&self) -> (i32, i32) {
        let serving = self.pods.iter().filter(|pod| pod.phase == PodPhase::Serving);
        serving.fold((0, 0), |(wanted, others), pod| match &self.revision {
            Some(revision) if pod.revision == *revision => (wanted + 1, others),
            _ => (wanted, others + 1),
        })
    }
}
