//! Durations of which there may be any number, in bounded memory: a percentile is at most 1.6 % too high.

use crate::latency::Latency;

/// Each power of two is cut into so many.
const PARTS: u32 = 64;
const BITS: u32 = PARTS.trailing_zeros();
/// All that 32 bits of microseconds can say: 71 minutes; what is longer counts as that.
const BUCKETS: usize = ((32 - BITS + 1) * PARTS) as usize;

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Negative ones, which are clocks that disagree, count as none.
    pub(crate) fn add(&mut self, micros: i64) {
        let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// None where nothing was measured.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let count = usize::try_from(self.total).unwrap_or(usize::MAX);
        (count > 0).then(|| Latency {
            count,
            p50: self.percentile(50),
            p99: self.percentile(99),
            max: self.max,
        })
    }

    fn percentile(&self, percent: u64) -> u32 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        found.map_or(self.max, |bucket| highest(bucket).min(self.max))
    }
}

/// Up to `PARTS` each value has a bucket of its own; from there the leading bits choose.
fn bucket(value: u32) -> usize {
    let power = value.max(1).ilog2().saturating_sub(BITS);
    (power * PARTS + (value >> power)) as usize
}

fn highest(bucket: usize) -> u32 {
    let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
    let power = (bucket / PARTS).saturating_sub(1);
    let leading = u64::from(bucket - power * PARTS);
    u32::try_from(((leading + 1) << power) - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_hardly_above_the_exact_one(values in prop::collection::vec(any::<u32>(), 1..300)) {
            let mut histogram = Histogram::default();
            for value in &values {
                histogram.add(i64::from(*value));
            }
            let exact = Latency::of(values).unwrap();
            let rough = histogram.latency().unwrap();
            prop_assert_eq!((rough.count, rough.max), (exact.count, exact.max));
            for (rough, exact) in [(rough.p50, exact.p50), (rough.p99, exact.p99)] {
                prop_assert!(rough >= exact && f64::from(rough) <= f64::from(exact) * 1.016 + 1.0);
            }
        }
    }

    #[test]
    fn the_ends_are_in_range_and_two_make_one() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.latency(), None);
        histogram.add(-5);
        let mut other = Histogram::default();
        other.add(i64::MAX);
        histogram.merge(&other);
        let latency = histogram.latency().unwrap();
        assert_eq!((latency.count, latency.p50, latency.max), (2, 0, u32::MAX));
    }
}
