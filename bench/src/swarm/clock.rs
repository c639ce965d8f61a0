//! The swarm's clock: microseconds of the wall that only go forward, and milliseconds since it began.

use super::conduct::Millis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The wall is looked at once: whatever is set later, what happened later is later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    wall: i64,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a history's times are those of the wall, and this is where they begin"
    )]
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), wall: micros(wall) }
    }

    pub(crate) fn now(self) -> i64 {
        self.wall.saturating_add(micros(self.began.elapsed()))
    }

    /// When the swarm began.
    pub(crate) const fn wall(self) -> i64 {
        self.wall
    }

    pub(crate) fn millis(self) -> Millis {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment so many milliseconds after the beginning.
    pub(crate) fn moment(self, millis: Millis) -> Instant {
        const FAR: Millis = 30 * 24 * 3600 * 1000;
        self.began + Duration::from_millis(millis.min(FAR))
    }

    pub(crate) fn at(self, moment: Instant) -> i64 {
        self.wall.saturating_add(micros(moment.saturating_duration_since(self.began)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
