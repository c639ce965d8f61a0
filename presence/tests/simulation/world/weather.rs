//! How the world treats calls: how long they take, and how many fail, before or after their effect.

use super::lock;
use crate::chance::Chance;
use std::{sync::Mutex, time::Duration};

/// What a call is to suffer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lot {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) fails_before: bool,
    pub(crate) fails_after: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Climate {
    /// Calls in a thousand that take long.
    pub(crate) slow: u64,
    /// How long, in milliseconds, at most.
    pub(crate) slowness: u64,
    /// Calls in a thousand that fail, half of them after their effect.
    pub(crate) failing: u64,
}

const CALM: Climate = Climate { slow: 0, slowness: 1, failing: 0 };

#[derive(Debug)]
pub(crate) struct Weather {
    chance: Chance,
    climate: Mutex<Climate>,
}

impl Weather {
    /// Each seed has a climate of its own; a third of them are calm.
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, "weather");
        let climate = match chance.between(0..=5) {
            0 | 1 => CALM,
            2 => Climate { slow: 50, slowness: 400, failing: 0 },
            3 => Climate { slow: 100, slowness: 1_500, failing: 0 },
            4 => Climate { slow: 50, slowness: 300, failing: 40 },
            _ => Climate { slow: 200, slowness: 3_000, failing: 100 },
        };
        Self { chance, climate: Mutex::new(climate) }
    }

    /// From now on nothing goes wrong by itself.
    pub(crate) fn calm_down(&self) {
        *lock(&self.climate) = CALM;
    }

    /// Whether it disturbs everybody while it lasts.
    pub(crate) fn is_bad(&self) -> bool {
        let climate = *lock(&self.climate);
        climate.slowness > 1_000 || climate.failing > 0
    }

    pub(crate) fn lot(&self) -> Lot {
        let climate = *lock(&self.climate);
        let fails = self.chance.per_mille(climate.failing);
        let fails_after = fails && self.chance.percent(50);
        Lot {
            before: self.delay(climate),
            after: self.delay(climate),
            fails_before: fails && !fails_after,
            fails_after,
        }
    }

    /// How long a frame or an event is under way.
    pub(crate) fn flight(&self) -> Duration {
        self.delay(*lock(&self.climate))
    }

    fn delay(&self, climate: Climate) -> Duration {
        match self.chance.draw() % 1_000 {
            often if often < climate.slow => self.chance.millis(5..=climate.slowness.max(6)),
            often if often < 600 => Duration::ZERO,
            _ => self.chance.millis(1..=4),
        }
    }
}
