//! What of a new status is worth an Event.

use crate::crd::{ConditionType, PresenceClusterStatus, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A condition that has another reason than before. An Event is made of it, and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub condition: ConditionType,
    pub reason: Reason,
    pub message: String,
    pub warning: bool,
}

/// Which conditions have another reason than before; of those with one reason the first, since one thing happened.
pub fn changes(previous: Option<&PresenceClusterStatus>, new: &PresenceClusterStatus) -> Vec<Transition> {
    let mut changes: Vec<Transition> = Vec::new();
    for type_ in ORDER {
        let Some(now) = condition(new, type_) else { continue };
        let before = previous.and_then(|status| condition(status, type_));
        let Some(reason) = reason(now).filter(|_| before.is_none_or(|it| it.reason != now.reason)) else {
            continue;
        };
        // Of a new resource, that all is quiet is no news.
        let news = before.is_some() || !is_quiet(reason);
        if news && changes.iter().all(|change| change.reason != reason) {
            changes.push(Transition {
                condition: type_,
                reason,
                message: now.message.clone(),
                warning: is_wrong(reason),
            });
        }
    }
    changes
}

/// What says most of one reason comes first.
const ORDER: [ConditionType; 8] = [
    ConditionType::Degraded,
    ConditionType::MigrationsApplied,
    ConditionType::GracePeriodSufficient,
    ConditionType::Progressing,
    ConditionType::Ready,
    ConditionType::Draining,
    ConditionType::Rebalancing,
    ConditionType::Paused,
];

fn condition(status: &PresenceClusterStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// None for one that this operator does not know.
fn reason(of: &Condition) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == of.reason)
}

const fn is_quiet(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Active
            | Reason::AsExpected
            | Reason::LongEnough
            | Reason::NoneDraining
            | Reason::NotRebalancing
            | Reason::Pending
    )
}

const fn is_wrong(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SecretNotFound
            | Reason::SecretKeyNotFound
            | Reason::SecretInvalid
            | Reason::SpecInvalid
            | Reason::KindNotFound
            | Reason::NameTaken
            | Reason::MigrationFailed
            | Reason::PodsFailing
            | Reason::ImagePullFailed
            | Reason::PodsUnschedulable
            | Reason::BusAway
            | Reason::ProgressDeadlineExceeded
            | Reason::PodsUnknown
            | Reason::DeadlineTooShort
            | Reason::Refused
    )
}
