//! Whether a pod has the time to let go of all the agents it has.

use super::{Scene, Verdict};
use crate::crd::{ConditionType, PodPhase, Reason};

impl Scene<'_> {
    /// As the server paces itself (docs/CONFIGURATION.md, "Letting go"): within seven tenths of its time, all agents are told.
    pub(super) fn grace(&self) -> Verdict {
        let drain = &self.of.spec.drain;
        let asked =
            || self.pods.iter().filter(|pod| matches!(pod.phase, PodPhase::Serving | PodPhase::Draining));
        let most = asked().filter_map(|pod| pod.agents).max().unwrap_or(0).unsigned_abs();
        let rate = u64::from(drain.agents_per_second.unsigned_abs());
        let in_time = u128::from(rate) * u128::from(drain.deadline.as_millis()) * 7 / 10_000;
        // Numbers of agents go up and down: once it was too short, it is long enough with a tenth to spare.
        let was_short =
            self.former(ConditionType::GracePeriodSufficient).is_some_and(|it| it.status == "False");
        let bound = if was_short { in_time * 9 / 10 } else { in_time };
        if u128::from(most) > bound {
            let message = format!(
                "a pod has more agents than it can tell to connect elsewhere within seven tenths of {} at {rate} a second: \
                 raise spec.drain.deadline or spec.drain.agentsPerSecond, or run more pods",
                drain.deadline
            );
            return Verdict::new("False", Reason::DeadlineTooShort, message);
        }
        if asked().any(|pod| pod.agents.is_none()) {
            let message = "a pod does not say how many agents it has: see that the operator can reach port 8081 of the pods \
                           (NetworkPolicies), and the log of the operator";
            return Verdict::new("Unknown", Reason::PodsUnknown, message);
        }
        Verdict::new(
            "True",
            Reason::LongEnough,
            "each pod can let go of all its agents within spec.drain.deadline",
        )
    }
}
