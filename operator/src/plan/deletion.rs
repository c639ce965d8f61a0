//! The end of a resource that is to let go of its agents first (`drain.onDelete`): all pods at once, sharing one rate, and
//! then the finalizer. The garbage collector of Kubernetes does the rest, by owner references.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Action, Plan, Stage, groups, has_finalizer};
use crate::crd::PresenceCluster;
use crate::observed::Observed;

/// What a pod may take beyond its drain, as in its grace period, and what Kubernetes may take to notice.
const MARGIN: SignedDuration = SignedDuration::from_secs(11 + 30);

pub(super) fn plan(of: &PresenceCluster, observed: &Observed, now: Timestamp) -> Plan {
    if !has_finalizer(of) {
        return Plan::idle(Stage::Deleting);
    }
    let again = Duration::from_secs(5);
    if !of.spec.drain.on_delete || is_over(of, now) || is_gone(of, observed, now) {
        return Plan { stage: Stage::Deleting, actions: vec![Action::SetFinalizer(false)], again };
    }
    let groups = groups(observed);
    let left = groups.iter().filter(|group| group.size() > 0);
    let scale = left.map(|group| Action::Scale { deployment: group.name().to_owned(), replicas: 0 });
    Plan { stage: Stage::Deleting, actions: scale.collect(), again }
}

/// Long enough for the caches to show every pod that was there when the deletion began.
const CACHES: SignedDuration = SignedDuration::from_secs(5);

fn is_gone(of: &PresenceCluster, observed: &Observed, now: Timestamp) -> bool {
    let shown =
        of.metadata.deletion_timestamp.as_ref().is_some_and(|asked| now.duration_since(asked.0) > CACHES);
    shown
        && groups(observed).iter().all(|group| group.is_empty(now))
        && observed.servers().all(|pod| pod.is_lost(now))
}

/// However stuck a pod is, nobody waits for it for ever.
fn is_over(of: &PresenceCluster, now: Timestamp) -> bool {
    let Some(asked) = &of.metadata.deletion_timestamp else { return false };
    let drain = &of.spec.drain;
    let grace = drain.pre_stop.as_secs_up().saturating_add(drain.deadline.as_secs_up());
    let bound = SignedDuration::from_secs(i64::try_from(grace).unwrap_or(i64::MAX)).saturating_add(MARGIN);
    now.duration_since(asked.0) > bound
}
