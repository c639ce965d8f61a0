//! All chance of a run comes from its seed: `SplitMix64`, and streams of it that are independent of each other, so that
//! one actor who draws once more does not change what all others do.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A stream of random numbers.
pub(crate) struct Chance(Mutex<u64>);

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chance {
    /// The stream of this name that belongs to this seed.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        let named = name.bytes().fold(mix(seed.wrapping_add(GOLDEN)), |sum, byte| mix(sum ^ u64::from(byte)));
        Self(Mutex::new(named))
    }

    pub(crate) fn draw(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(GOLDEN);
        mix(*state)
    }

    pub(crate) fn between(&self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.draw() % (range.end() - range.start() + 1)
    }

    pub(crate) fn millis(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.between(range))
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&self, times: u64) -> bool {
        self.draw() % 1_000 < times
    }

    pub(crate) fn percent(&self, times: u64) -> bool {
        self.per_mille(times * 10)
    }

    /// One of them; none where there are none.
    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.draw() % (from.len().max(1) as u64)).unwrap_or(0);
        from.get(index)
    }
}
