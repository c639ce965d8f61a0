//! What the runner and the flows of a socket work with: the ports, this replica's live state, and the rules. Made once,
//! by `app`.

use crate::{
    apps::Apps,
    deps::Deps,
    feeds::Feeds,
    hub::Hub,
    ledger::Ledger,
    lifecycle::{drain::Draining, tasks::Tasks},
    relay::Relay,
};
use presence_core::{
    close::Reason,
    ids::{Fence, ReplicaId},
    session::Rules,
    time::{Time, UnixMicros},
};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

#[derive(Debug)]
pub struct Engine {
    pub deps: Arc<Deps>,
    pub rules: Rules,
    pub replica_id: ReplicaId,
    /// What this replica's registration gave it.
    pub standing: Standing,
    pub hub: Arc<Hub>,
    pub ledger: Ledger,
    pub relay: Arc<Relay>,
    pub feeds: Feeds,
    pub tasks: Tasks,
    /// Where the Socket.IO door is open.
    pub apps: Option<Apps>,
    /// Whether this replica lets go of its sockets: nobody enters then.
    pub draining: Draining,
}

/// The fence under which this replica acts now. Whoever asks for something reads it when the wish is heard, not when it
/// is done: what was slept over in between is not done.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<AtomicI64>);

impl Standing {
    pub fn fence(&self) -> Fence {
        Fence(self.0.load(Relaxed))
    }

    pub fn set(&self, fence: Fence) {
        self.0.store(fence.0, Relaxed);
    }
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
