//! Chance from a seed, so that a scenario that failed can be played again with the same intentions.

use std::{ops::Range, time::Duration};

/// xorshift64*: small, and good enough to shake a crowd.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub const fn of(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// One of its own for each who takes part.
    #[must_use]
    pub const fn split(&mut self) -> Self {
        Self::of(self.draw())
    }

    const fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        (self.draw() >> 11) % end
    }

    pub fn millis(&mut self, range: &Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end.saturating_sub(range.start).max(1)))
    }

    /// One of a list, which is not empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(list.len() as u64)).expect("an index below a length");
        &list[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_every_number_turns_up() {
        let draws = |seed| {
            let mut chance = Chance::of(seed);
            (0..200).map(|_| chance.below(7)).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
        assert!((0..7).all(|number| draws(0).contains(&number)));
    }
}
