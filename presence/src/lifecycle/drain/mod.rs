//! Letting go of this replica's sockets: `serving → draining → drained`, and back. SIGTERM and the internal API ask for
//! the same.
//!
//! `Draining` is what doors and sockets see of it; `Drainer` decides and does. The pace is `core::drain`'s.

mod drainer;
mod going;
mod letting_go;
mod shedding;

pub use drainer::{Drainer, Refused};

use presence_core::time::Time;
use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How long a statement may take that a drain can go on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the store is told and asked about draining replicas, and newcomers among the sockets are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How far this replica is with letting go. `until` is when what is left is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Serving,
    Draining {
        until: Time,
    },
    Drained {
        until: Time,
    },
}

/// Whether this replica lets go of its sockets. No `watch`: that wakes who waits in an order of its own chance, and a
/// simulated drain is to be the same each time.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    phase: Mutex<Phase>,
    changed: Notify,
}

impl Draining {
    /// Nobody is to enter.
    pub fn is_on(&self) -> bool {
        self.until().is_some()
    }

    /// When what is left is closed, if this replica lets go.
    pub fn until(&self) -> Option<Time> {
        self.phase().until()
    }

    /// Waits until that is something else than what the caller has heard of.
    pub async fn until_changes(&self, heard: Option<Time>) -> Option<Time> {
        self.wait_for(|phase| phase.until() != heard).await.until()
    }

    fn phase(&self) -> Phase {
        *self.lock()
    }

    async fn wait_for(&self, is_it: impl Fn(Phase) -> bool) -> Phase {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Before looking, so that what changes in between is heard of.
            changed.as_mut().enable();
            let phase = self.phase();
            if is_it(phase) {
                return phase;
            }
            changed.await;
        }
    }

    fn set(&self, phase: Phase) {
        *self.lock() = phase;
        self.0.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    const fn until(self) -> Option<Time> {
        match self {
            Self::Serving => None,
            Self::Draining { until } | Self::Drained { until } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_hears_of_a_drain_once_and_of_its_end() {
        let draining = Draining::default();
        let until = Some(Time(7));
        draining.set(Phase::Draining { until: Time(7) });
        assert_eq!(draining.until_changes(None).await, until);
        let unchanged = draining.until_changes(until);
        tokio::pin!(unchanged);
        assert!(futures_util::poll!(&mut unchanged).is_pending());
        draining.set(Phase::Drained { until: Time(7) });
        assert!(futures_util::poll!(&mut unchanged).is_pending(), "the deadline is the same");
        draining.set(Phase::Serving);
        assert_eq!(unchanged.await, None);
    }
}
