//! What all agents of a crowd have received, together. Its lock is never waited for: one thread runs all of them.

use crate::tick::{Clock, Tick};
use std::sync::{Mutex, MutexGuard};

/// One read may bring this much.
const BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Tally(Mutex<State>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) counted: Counted,
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// All that came, ours or not.
    pub(crate) frames: u64,
    /// One of each delivery, in microseconds. Bounded by what a step sends: at most some tens of MB.
    pub(crate) latencies: Vec<u32>,
    /// Deliveries that were not the next one, and resyncs.
    pub(crate) disorder: u64,
}

impl Counted {
    /// A delivery; `next` is the number that this client expects.
    pub(crate) fn hear(&mut self, tick: Tick, next: &mut Option<u64>, now: u64) {
        let in_order = next.is_none_or(|next| next == tick.number);
        *next = Some(tick.number + 1);
        let latency = now.saturating_sub(tick.at);
        self.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        self.disorder += u64::from(!in_order);
    }
}

impl Tally {
    pub(crate) fn new(clock: Clock) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self(Mutex::new(State { clock, buffer, counted: Counted::default() }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What was counted since the last time, and a fresh start.
    pub(crate) fn take(&self) -> Counted {
        std::mem::take(&mut self.lock().counted)
    }

    pub(crate) fn frames(&self) -> u64 {
        self.lock().counted.frames
    }

    pub(crate) fn deliveries(&self) -> usize {
        self.lock().counted.latencies.len()
    }
}
