//! Chance that can be had again: a small generator with a seed, so that the same flags make the same swarm.

/// `SplitMix64`. Good enough to spread load; nothing secret is made of it.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A stream of its own for each number.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut chance = Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        // Neighbouring numbers begin far apart.
        chance.0 = chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `most`, both included.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            // Wide enough that the fold's bias does not show.
            Some(count) => u64::try_from((u128::from(self.next()) * u128::from(count)) >> 64).unwrap_or(most),
            None => self.next(),
        }
    }

    /// One of so many; 0 where there is none.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        let most = u64::try_from(count.saturating_sub(1)).unwrap_or(u64::MAX);
        usize::try_from(self.up_to(most)).unwrap_or(0)
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn happens(&mut self, fraction: f64) -> bool {
        self.unit() < fraction
    }

    /// Milliseconds to the next of what happens so often a minute; none where it never does.
    pub(crate) fn wait(&mut self, per_minute: f64) -> Option<u64> {
        if per_minute <= 0.0 {
            return None;
        }
        let millis = -(1.0 - self.unit()).ln() / per_minute * 60_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a day")]
        Some(millis.clamp(0.0, 86_400_000.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_drawn_lies_within(seed: u64, most: u64, count in 1_usize..100) {
            let mut chance = Chance::new(seed, 1);
            prop_assert!(chance.up_to(most) <= most);
            prop_assert!(chance.index(count) < count);
            prop_assert!((0.0..1.0).contains(&chance.unit()));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_number_does_not() {
        let draw = |number| Chance::new(7, number).next();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_fraction_happens_about_so_often_and_waits_average_out() {
        let mut chance = Chance::new(1, 1);
        let hits = (0..10_000).filter(|_| chance.happens(0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        let total: u64 = (0..10_000).filter_map(|_| chance.wait(6.0)).sum();
        assert!((95_000_000..105_000_000).contains(&total), "{total}");
        assert_eq!(chance.wait(0.0), None);
    }
}
