//! The machine's clocks and its randomness: the only place that reads them.

use crate::ports::clock::Clock;
use presence_core::time::{Time, UnixMicros, millis};
use std::time::SystemTime;
use tokio::time::Instant;

/// Time as the operating system tells it.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Its monotonic time starts at 0 here. Make one for the process and share it.
    pub fn start() -> Self {
        // tokio's, not std's: a test that pauses time pauses this clock too.
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(millis(self.origin.elapsed()))
    }

    fn wall(&self) -> UnixMicros {
        #[expect(clippy::disallowed_methods, reason = "this adapter is where time comes from")]
        let now = SystemTime::now();
        // A clock set before 1970 reads as 1970: every token is then "not yet valid", which is the safe side.
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMicros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn chance(&self) -> u64 {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).expect("AWS-LC aborts rather than fail to seed its generator");
        u64::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn monotonic_time_starts_at_zero_and_counts_milliseconds() {
        let clock = SystemClock::start();
        assert_eq!(clock.now(), Time(0));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now(), Time(1500));
    }

    #[test]
    fn the_wall_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock::start().wall().as_secs() > 1_760_000_000);
    }

    #[test]
    fn chance_does_not_repeat_itself() {
        let clock = SystemClock::start();
        let drawn: HashSet<u64> = (0..1000).map(|_| clock.chance()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
