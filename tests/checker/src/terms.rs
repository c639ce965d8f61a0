//! The bounds that a history is held to. The defaults fit the default settings of the server; a run with shorter
//! leases says so, or the judge is more patient than it need be.

use serde::{Deserialize, Serialize};

/// Bounds, in milliseconds. Where a fault lasts, a bound counts from its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// How long a session may outlive its agent's last socket: lease, return window and a sweep.
    pub ghost_ms: u64,
    /// How long an acknowledged open socket may be without a row: a replica that lost its lease claims again.
    pub unbacked_ms: u64,
    /// How long a replaced socket may go on hearing after its successor was acknowledged.
    pub settle_ms: u64,
    /// The same for a socket that was told `terminated`: it delivers until its drain ends.
    pub overlap_ms: u64,
    /// How exact a clean beginning or end is in the attendance.
    pub clean_ms: u64,
    /// How long after an unclean end of its socket a stay may still end.
    pub grace_ms: u64,
    /// How much of the end of a stay may be missing where it did not end cleanly: it ends when the agent or its replica
    /// was last heard of, so this is the ping interval or the lease, whichever is longer.
    pub unseen_ms: u64,
    /// How far the clocks of those who write may lie apart.
    pub clock_ms: u64,
    /// If given, how long a connect may take that no fault touches.
    pub enter_within_ms: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ghost_ms: 25_000,
            unbacked_ms: 6_000,
            settle_ms: 5_000,
            overlap_ms: 15_000,
            clean_ms: 1_500,
            grace_ms: 6_000,
            unseen_ms: 36_000,
            clock_ms: 500,
            enter_within_ms: None,
        }
    }
}

/// Milliseconds in the unit of histories; beyond the end of time is the end of time.
pub(crate) fn micros(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000)
}
