//! What the flows and the runner work with: the ports, this replica's live state, and the rules. Made once, by `app`.

use crate::{
    feeds::Feeds, hub::Hub, lifecycle::tasks::Tasks, ports, relay::Relay, telemetry::metrics::Metrics,
};
use presence_core::{
    close::Reason,
    ids::ReplicaId,
    session::Rules,
    time::{Time, UnixMicros},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The ports, each behind its trait.
#[derive(Debug, Clone)]
pub struct Deps {
    pub store: Arc<dyn ports::session_store::Store>,
    pub bus: Arc<dyn ports::bus::Bus>,
    pub authn: Arc<dyn ports::authn::Authn>,
    pub authz: Arc<dyn ports::authz::Authz>,
    pub clock: Arc<dyn ports::clock::Clock>,
    pub metrics: Arc<Metrics>,
}

/// What of the configuration a session is subject to.
#[derive(Debug, Clone)]
pub struct Settings {
    pub rules: Rules,
    /// What may wait for a socket, in bytes.
    pub queue_bytes: usize,
    /// How long a connect waits until `entered` is out; after that it goes on all the same.
    pub publish_wait: Duration,
    /// How long a socket may stay after it was told that this replica lets go.
    pub drain_timeout: Duration,
}

#[derive(Debug)]
pub struct Engine {
    pub deps: Deps,
    pub settings: Settings,
    pub replica_id: ReplicaId,
    pub replica_label: String,
    pub hub: Arc<Hub>,
    pub relay: Arc<Relay>,
    pub feeds: Feeds,
    pub tasks: Tasks,
    /// Cancelled when this replica begins to let go of its sockets: nobody enters any more.
    pub draining: CancellationToken,
}

impl Engine {
    /// A moment on the wall clock as one on this process's own.
    pub fn moment(&self, at: UnixMicros) -> Time {
        let ahead = at.0.saturating_sub(self.deps.clock.wall().0) / 1_000;
        self.deps.clock.now().after(u64::try_from(ahead).unwrap_or(0))
    }

    /// When a client should come back, spread over the window that the table gives.
    pub fn reconnect_after(&self, reason: Reason) -> Option<u64> {
        let (from, to) = reason.reconnect_window()?;
        Some(from + self.deps.clock.chance() % (to - from + 1))
    }
}
