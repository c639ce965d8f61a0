//! `session`: how long what is lost may still come back, and how a replica proves that it lives.

use super::{Report, text::Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// How long a session whose connection broke is kept for its agent. `0s`: not at all.
    pub leave_grace: Period,
    /// How long a replica that lets go of its agents waits for them to connect elsewhere.
    pub drain_timeout: Period,
    /// How many agents are told to connect elsewhere per second, by all replicas together, while `drain_timeout` allows it.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub drain_rate: u32,
    /// How long a connect waits for its event to be published before it goes on.
    pub publish_wait: Period,
    /// How long a replica that is not heard of still counts as alive.
    pub lease_ttl: Period,
    /// How often a replica says that it lives.
    pub lease_renew: Period,
    /// How long the agents of a dead replica have to come back before they are said to have left.
    pub return_window: Period,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            leave_grace: Period::secs(5),
            drain_timeout: Period::secs(10),
            drain_rate: 1_000,
            publish_wait: Period::millis(500),
            lease_ttl: Period::secs(10),
            lease_renew: Period::secs(3),
            return_window: Period::secs(5),
        }
    }
}

impl Session {
    pub(super) fn check(&self, report: &mut Report) {
        report.within("session.leave_grace", self.leave_grace, Period::secs(0)..=Period::secs(300));
        report.within("session.drain_timeout", self.drain_timeout, Period::secs(0)..=Period::secs(3600));
        report.within("session.publish_wait", self.publish_wait, Period::millis(0)..=Period::secs(10));
        report.within("session.lease_ttl", self.lease_ttl, Period::secs(1)..=Period::secs(300));
        report.within("session.lease_renew", self.lease_renew, Period::millis(100)..=Period::secs(150));
        report.within("session.return_window", self.return_window, Period::secs(0)..=Period::secs(300));
        // One renewal may be lost without the lease being lost.
        if self.lease_renew.0 * 2 >= self.lease_ttl.0 {
            let why = format!("not less than half of session.lease_ttl, which is {}", self.lease_ttl);
            report.bad("session.lease_renew", why);
        }
    }
}
