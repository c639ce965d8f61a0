//! How fast a replica lets go of its agents: in waves, at a share of one rate for the whole cluster.
//!
//! Whoever is told to go connects elsewhere at once, so the pace of telling is the pace of arriving. Replicas that let
//! go at the same time share the rate; a deadline by which all must have been told wins over it.

use crate::time::Time;

/// How often a wave is told, in milliseconds.
pub const WAVE: u64 = 100;
/// A process that was held up does not make up for more than this.
const LONGEST_STEP: u64 = 1_000;
/// Agents that are all told at once, because no time is left, come back within this.
const CROWD_SPREAD: u64 = 1_000;

/// Why a client is told to connect elsewhere; it reads the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cause {
    /// This replica lets go of everybody.
    #[default]
    Shutdown,
    /// This replica has more agents than others.
    Rebalance,
}

impl Cause {
    pub const ALL: [Self; 2] = [Self::Shutdown, Self::Rebalance];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Rebalance => "rebalance",
        }
    }
}

/// How long the telling may take, of the time that a drain has: the last who are told need some to move.
pub const fn window(timeout: u64) -> u64 {
    timeout / 10 * 7 + timeout % 10 * 7 / 10
}

/// Who is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    pub agents: u64,
    /// Each of them is to come back within so many milliseconds, at a time of its own.
    pub spread: u64,
}

/// The waves of one drain, or of one shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waves {
    /// Agents per second, of all replicas together.
    rate: u32,
    /// By then all must have been told.
    by: Time,
    last: Time,
    /// Thousandths of agents that may be told and were not, because they make no whole one.
    owed: u64,
}

impl Waves {
    pub const fn begin(rate: u32, by: Time, now: Time) -> Self {
        Self { rate, by, last: now, owed: 0 }
    }

    /// The wave of this moment: of those who `wait` to be told, while so many replicas share the rate.
    pub fn next(&mut self, wait: u64, sharing: u32, now: Time) -> Wave {
        if now >= self.by {
            self.owed = 0;
            self.last = now;
            return Wave { agents: wait, spread: CROWD_SPREAD };
        }
        let step = now.since(self.last).min(LONGEST_STEP);
        self.last = self.last.max(now);
        let untold = wait.saturating_mul(1_000).saturating_sub(self.owed);
        let share = u64::from(self.rate) * step / u64::from(sharing.max(1));
        // Spread evenly over the time that is left: the pace that the deadline asks for stays the same to the end.
        let demanded = u128::from(untold) * u128::from(step)
            / (u128::from(self.by.since(now)) + u128::from(step).max(1));
        let demanded = u64::try_from(demanded).unwrap_or(u64::MAX);
        // What nobody waits for is not saved up.
        self.owed = self.owed.saturating_add(share.max(demanded)).min(wait.saturating_mul(1_000));
        let agents = self.owed / 1_000;
        self.owed %= 1_000;
        Wave { agents, spread: step.max(WAVE) }
    }
}

/// Puts items into an order that this seed decides.
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for end in (1..items.len()).rev() {
        // A remainder favours small numbers by less than one in 2^40 here: nobody is treated unfairly by it.
        let place = splitmix(&mut state) % (end as u64 + 1);
        items.swap(end, usize::try_from(place).unwrap_or(end));
    }
}

/// Steele, Lea and Flood's `SplitMix64`: good enough for an order, never for a secret.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER: Time = Time(u64::MAX);

    /// Plays a drain of `agents` to its end, with waves after these pauses, and returns who was told when.
    fn play(rate: u32, agents: u64, by: Time, sharing: u32, pauses: &[u64]) -> Vec<(Time, u64)> {
        let mut waves = Waves::begin(rate, by, Time(0));
        let (mut now, mut told, mut log) = (Time(0), 0, vec![]);
        for pause in pauses.iter().cycle().take(2_000) {
            let wave = waves.next(agents - told, sharing, now);
            told += wave.agents;
            log.push((now, told));
            now = now.after(*pause);
        }
        log
    }

    #[test]
    fn a_rolling_update_of_ten_thousand_moves_a_tenth_of_them_in_a_second() {
        let log = play(1_000, 3_334, Time(window(10_000)), 1, &[WAVE]);
        let at = |time| log.iter().take_while(|(now, _)| *now <= Time(time)).last().unwrap().1;
        assert_eq!((at(0), at(1_000), at(2_000), at(3_400)), (0, 1_000, 2_000, 3_334));
    }

    #[test]
    fn a_deadline_asks_for_an_even_pace_beyond_the_rate() {
        let log = play(100, 7_000, Time(window(10_000)), 1, &[WAVE]);
        for (now, told) in log.into_iter().take_while(|(now, _)| *now < Time(7_000)) {
            assert!(told.abs_diff(now.0) <= 1, "{told} told at {now:?}");
        }
    }

    #[test]
    fn without_time_all_are_told_at_once_and_come_back_apart() {
        let mut waves = Waves::begin(10, Time(5), Time(5));
        assert_eq!(waves.next(300, 1, Time(5)), Wave { agents: 300, spread: CROWD_SPREAD });
    }

    #[test]
    fn whoever_was_held_up_does_not_make_up_for_it_in_one_wave() {
        let mut waves = Waves::begin(100, NEVER, Time(0));
        assert_eq!(waves.next(10_000, 1, Time(60_000)), Wave { agents: 100, spread: 1_000 });
    }

    #[test]
    fn a_window_is_seven_tenths() {
        assert_eq!([0, 1, 2_000, 10_000].map(window), [0, 0, 1_400, 7_000]);
        assert_eq!(window(u64::MAX), u64::MAX / 10 * 7 + 3);
    }

    #[test]
    fn an_order_is_another_one_with_another_seed_and_loses_nobody() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..1_000).collect();
            shuffle(&mut items, seed);
            items
        };
        let (one, two) = (shuffled(1), shuffled(2));
        assert_ne!(one, two);
        assert_eq!(one, shuffled(1));
        let mut sorted = one;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1_000));
        shuffle::<u32>(&mut [], 1);
    }

    fn pauses() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(1u64..3_000, 1..20)
    }

    proptest! {
        /// Nobody is told twice or forgotten: the count never falls, never passes all, and is all at the deadline.
        #[test]
        fn all_are_told_within_the_window(
            rate in 1u32..2_000, agents in 0u64..20_000, by in 0u64..60_000, sharing in 0u32..20, pauses in pauses(),
        ) {
            let log = play(rate, agents, Time(by), sharing, &pauses);
            prop_assert!(log.iter().all(|(_, told)| *told <= agents));
            for (now, told) in log {
                if now >= Time(by) {
                    prop_assert_eq!(told, agents);
                }
            }
        }

        /// Not above the rate, unless an even pace to the deadline is above it. A wave more or less is no matter.
        #[test]
        fn the_rate_holds_unless_the_deadline_asks_for_more(
            rate in 1u32..2_000, agents in 0u64..20_000, by in 1u64..600_000, sharing in 1u32..20,
        ) {
            let log = play(rate, agents, Time(by), sharing, &[WAVE]);
            for (now, told) in log.into_iter().take_while(|(now, _)| *now < Time(by)) {
                let by_rate = u64::from(rate) * now.0 / u64::from(sharing) / 1_000;
                let by_deadline = agents * now.0 / by;
                prop_assert!(told <= by_rate.max(by_deadline) + 1, "{told} at {now:?}: {by_rate}, {by_deadline}");
            }
        }

        /// What the replicas tell together is never above the rate, however many they are and whenever their waves
        /// come; and nobody waits for a rate that is there.
        #[test]
        fn shares_add_up_to_the_rate(rate in 1u32..2_000, replicas in 1u32..20, pauses in pauses()) {
            let log = play(rate, u64::MAX / 1_000_000, NEVER, replicas, &pauses);
            let mut allowed = 0;
            for pair in log.windows(2) {
                allowed += u64::from(rate) * pair[1].0.since(pair[0].0).min(LONGEST_STEP);
                let together = pair[1].1 * u64::from(replicas);
                prop_assert!(together * 1_000 <= allowed);
            }
            let (last, told) = (log.len() as u64, log.last().unwrap().1);
            // Rounding loses less than a thousandth of an agent a wave, and less than an agent in all.
            prop_assert!((told + 1) * 1_000 + last >= allowed / u64::from(replicas));
        }
    }
}
