//! Whether this replica should get new connections. Written by those who know, read by `/readyz`.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Not ready until the store was seen, while this replica drains, and while its operator has it step back. A bus
/// that is away makes
/// nothing unready: events wait in the outbox; nor does a lesson state, without which only classroom apps wait.
#[derive(Debug)]
pub struct Readiness {
    store_up: AtomicBool,
    bus_up: AtomicBool,
    /// Where there is one.
    lesson_state_up: OnceLock<AtomicBool>,
    draining: AtomicBool,
    accepting: AtomicBool,
}

impl Default for Readiness {
    fn default() -> Self {
        let down = || AtomicBool::new(false);
        Self {
            store_up: down(),
            bus_up: down(),
            lesson_state_up: OnceLock::new(),
            draining: down(),
            accepting: AtomicBool::new(true),
        }
    }
}

impl Readiness {
    pub fn set_store_up(&self, up: bool) {
        self.store_up.store(up, Relaxed);
    }

    pub fn set_bus_up(&self, up: bool) {
        self.bus_up.store(up, Relaxed);
    }

    pub fn set_lesson_state_up(&self, up: bool) {
        self.lesson_state_up.get_or_init(AtomicBool::default).store(up, Relaxed);
    }

    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Relaxed);
    }

    /// Whether whoever operates this replica lets it ask for new agents.
    pub fn set_accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Relaxed);
    }

    pub fn store_up(&self) -> bool {
        self.store_up.load(Relaxed)
    }

    pub fn bus_up(&self) -> bool {
        self.bus_up.load(Relaxed)
    }

    /// `None`: there is none.
    pub fn lesson_state_up(&self) -> Option<bool> {
        self.lesson_state_up.get().map(|up| up.load(Relaxed))
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    pub fn accepting(&self) -> bool {
        self.accepting.load(Relaxed)
    }

    pub fn is_ready(&self) -> bool {
        self.store_up() && !self.draining() && self.accepting()
    }
}
