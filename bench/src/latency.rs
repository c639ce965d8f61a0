//! Latencies in whole microseconds, all of them kept: percentiles are exact and the slowest is not lost.

use serde_json::{Value, json};

/// Percentiles by the nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) count: usize,
    pub p50: u32,
    pub p99: u32,
    pub(crate) max: u32,
}

impl Latency {
    /// None where nothing was measured.
    pub(crate) fn of(mut micros: Vec<u32>) -> Option<Self> {
        micros.sort_unstable();
        let max = *micros.last()?;
        Some(Self { count: micros.len(), p50: rank(&micros, 50), p99: rank(&micros, 99), max })
    }

    pub(crate) fn columns(latency: Option<Self>) -> [Value; 3] {
        let cell = |pick: fn(&Self) -> u32| {
            latency.map_or(Value::Null, |latency| json!(f64::from(pick(&latency)) / 1000.0))
        };
        [cell(|l| l.p50), cell(|l| l.p99), cell(|l| l.max)]
    }
}

/// The smallest value that at least `percent` of all are not above. `sorted` is not empty.
fn rank(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_hundred_the_99th_is_p99() {
        let latency = Latency::of((1..=100).rev().collect()).unwrap();
        assert_eq!(latency, Latency { count: 100, p50: 50, p99: 99, max: 100 });
    }

    #[test]
    fn of_one_it_is_that_one_and_of_none_there_is_none() {
        assert_eq!(Latency::of(vec![7]), Some(Latency { count: 1, p50: 7, p99: 7, max: 7 }));
        assert_eq!(Latency::of(vec![]), None);
    }

    proptest! {
        #[test]
        fn a_percentile_has_its_share_below_it(values in prop::collection::vec(any::<u32>(), 1..500),
                                               percent in 1_usize..=100) {
            let mut sorted = values;
            sorted.sort_unstable();
            let value = rank(&sorted, percent);
            let not_above = sorted.iter().filter(|v| **v <= value).count();
            let below = sorted.iter().filter(|v| **v < value).count();
            prop_assert!(not_above * 100 >= sorted.len() * percent);
            prop_assert!(below * 100 < sorted.len() * percent);
        }
    }
}
