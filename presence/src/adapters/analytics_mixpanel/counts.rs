//! What is counted of reports: each is sent, or dropped for one of these reasons.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Why a report was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Too many wait already.
    QueueFull,
    /// Its user has an id that Mixpanel takes for a programmer's mistake: `null`, `0`, `anonymous`.
    Invalid,
    /// Mixpanel will not have it, now or later.
    Refused,
    /// It is too large, and cannot be split.
    TooLarge,
    /// Mixpanel could not be reached, or had no room, for too long.
    Unavailable,
    /// The process ended.
    Stopped,
}

impl Dropped {
    pub const ALL: [Self; 6] =
        [Self::QueueFull, Self::Invalid, Self::Refused, Self::TooLarge, Self::Unavailable, Self::Stopped];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Stopped => "stopped",
        }
    }
}

/// Where it is counted. Clones count in the same place.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub sent: Counter,
    /// In the order of `Dropped::ALL`.
    pub dropped: [Counter; Dropped::ALL.len()],
    /// Reports that wait or are being sent.
    pub queue: Gauge,
}

impl Counts {
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.of(why).map_or(0, Counter::get)
    }

    pub(super) fn drop(&self, why: Dropped, count: usize) {
        if let Some(counter) = self.of(why) {
            counter.inc_by(count as u64);
        }
    }

    fn of(&self, why: Dropped) -> Option<&Counter> {
        let mut counted = Dropped::ALL.into_iter().zip(&self.dropped);
        counted.find_map(|(reason, counter)| (reason == why).then_some(counter))
    }
}
