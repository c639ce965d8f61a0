//! Whether this replica should get new connections. Written by those who know, read by `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Not ready until the store was seen. A bus that is away makes nothing unready: events wait in the outbox.
#[derive(Debug, Default)]
pub struct Readiness {
    store_up: AtomicBool,
    bus_up: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    pub fn set_store_up(&self, up: bool) {
        self.store_up.store(up, Relaxed);
    }

    pub fn set_bus_up(&self, up: bool) {
        self.bus_up.store(up, Relaxed);
    }

    /// There is no way back: what drains is about to end.
    pub fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    pub fn store_up(&self) -> bool {
        self.store_up.load(Relaxed)
    }

    pub fn bus_up(&self) -> bool {
        self.bus_up.load(Relaxed)
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    pub fn is_ready(&self) -> bool {
        self.store_up() && !self.draining()
    }
}
