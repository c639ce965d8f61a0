//! Time as the core sees it: numbers that somebody else read from a clock.
//!
//! `Time` is monotonic (deadlines of one process), `UnixMicros` is the wall clock (what people and databases see).
//! Neither can be made from "now" here.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A duration as this module counts; one past the end of time is as long as time.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds on a process's monotonic clock, from an origin of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// A moment `millis` later; a moment past the end of time is the end of time.
    #[must_use]
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was, in milliseconds; 0 if it lies ahead.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Microseconds since 1970-01-01 UTC: how stores keep a moment, and how it is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// Whole seconds, rounded down: the unit of a token's `exp`.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}
