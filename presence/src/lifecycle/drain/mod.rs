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
use std::time::Duration;
use tokio::sync::watch;

/// How long a statement may take that a drain can go on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the store is told and asked about draining replicas, and newcomers among the sockets are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How far this replica is with letting go. `until` is when what is left is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Serving,
    Draining { until: Time },
    Drained { until: Time },
}

/// Whether this replica lets go of its sockets.
#[derive(Debug, Clone)]
pub struct Draining(watch::Sender<Phase>);

impl Default for Draining {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
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
        let mut phases = self.0.subscribe();
        // The sender is this one, so it is not gone.
        phases.wait_for(|phase| phase.until() != heard).await.map_or(heard, |phase| phase.until())
    }

    fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
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
