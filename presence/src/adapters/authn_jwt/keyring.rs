//! One issuer's keys over time: when they are read again, who reads them, and which set counts meanwhile.
//!
//! Nobody owns a task here. A reading is a shared future: the request that starts it waits for it, a request that has
//! keys moves it on in passing and goes on with those, and one that has none waits along. So a request that is
//! cancelled takes nothing with it, and however many need new keys, one reading is on its way.

use super::{
    keys::KeySet,
    source::{LOAD_TIMEOUT, LoadError, Source},
};
use crate::{adapters::outbound, ports::clock::Clock};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use presence_core::time::Time;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A source that has never answered is asked again this soon.
const FIRST_RETRY_MILLIS: u64 = 1000;

/// How often a source is read, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// A set this old is read again.
    pub(super) refresh: u64,
    /// The least time between two readings that unknown keys set off, and after one that failed.
    pub(super) gap: u64,
    /// A set that nobody could confirm for so long is trusted no more.
    pub(super) max_age: u64,
}

type Outcome = Result<Option<Arc<KeySet>>, Arc<LoadError>>;

#[derive(Clone)]
struct Reading {
    future: Shared<BoxFuture<'static, Outcome>>,
    started: Time,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("started", &self.started).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Keyring {
    source: Arc<Source>,
    pace: Pace,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// When the source last said that `keys` are right.
    confirmed: Time,
    refresh_at: Time,
    miss_at: Time,
    reading: Option<Reading>,
}

impl Keyring {
    /// Starts empty, and reads at the first need.
    pub(super) fn new(source: Source, pace: Pace, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            source: Arc::new(source),
            pace,
            clock,
            state: Mutex::new(State {
                keys: None,
                confirmed: now,
                refresh_at: now,
                miss_at: now,
                reading: None,
            }),
        }
    }

    /// Keys that never change.
    pub(super) fn fixed(keys: KeySet, clock: Arc<dyn Clock>) -> Self {
        let never = Pace { refresh: u64::MAX, gap: u64::MAX, max_age: u64::MAX };
        let ring = Self::new(Source::Fixed, never, clock);
        *ring.lock() = State {
            keys: Some(Arc::new(keys)),
            confirmed: Time(0),
            refresh_at: Time(u64::MAX),
            miss_at: Time(u64::MAX),
            reading: None,
        };
        ring
    }

    /// Reads now, whatever is due, and says what went wrong: for the start, when somebody looks.
    pub(super) async fn read_now(&self) -> Result<(), Arc<LoadError>> {
        let reading = {
            let mut state = self.lock();
            self.underway(&state).unwrap_or_else(|| self.start(&mut state))
        };
        let outcome = reading.future.clone().await;
        self.settle(&reading, outcome.clone());
        outcome.map(drop)
    }

    /// The keys to hold a token against; `None` when there are none to be had.
    pub(super) async fn current(&self) -> Option<Arc<KeySet>> {
        let (keys, reading, started) = {
            let mut state = self.lock();
            let underway = self.underway(&state);
            let starts = underway.is_none() && self.clock.now() >= state.refresh_at;
            let reading = if starts { Some(self.start(&mut state)) } else { underway };
            (self.trusted(&state), reading, starts)
        };
        match (reading, keys) {
            (None, keys) => keys,
            (Some(reading), Some(keys)) if !started => {
                if let Some(outcome) = reading.future.clone().now_or_never() {
                    self.settle(&reading, outcome);
                }
                Some(keys)
            }
            (Some(reading), _) => {
                self.finish(reading).await;
                self.trusted(&self.lock())
            }
        }
    }

    /// A token's key is not in `seen`: newer keys, if there are any. However many ask, the source is read for this at
    /// most once per gap.
    pub(super) async fn newer_than(&self, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let reading = {
            let mut state = self.lock();
            if let Some(newer) = self.trusted(&state).filter(|keys| !Arc::ptr_eq(keys, seen)) {
                return Some(newer);
            }
            let now = self.clock.now();
            match self.underway(&state) {
                Some(reading) => reading,
                // One that was abandoned has told nobody anything, and does not count.
                None if now >= state.miss_at || state.reading.is_some() => {
                    state.miss_at = now.after(self.pace.gap);
                    self.start(&mut state)
                }
                None => return None,
            }
        };
        self.finish(reading).await;
        self.trusted(&self.lock()).filter(|keys| !Arc::ptr_eq(keys, seen))
    }

    /// Whether `keys` are still the ones that count.
    pub(super) fn is_current(&self, keys: &Arc<KeySet>) -> bool {
        let state = self.lock();
        self.trusted(&state).is_some_and(|current| Arc::ptr_eq(&current, keys))
    }

    async fn finish(&self, reading: Reading) {
        let outcome = reading.future.clone().await;
        self.settle(&reading, outcome);
    }

    fn start(&self, state: &mut State) -> Reading {
        let source = Arc::clone(&self.source);
        let known = state.keys.as_ref().map(|keys| keys.print);
        let load = async move {
            match tokio::time::timeout(LOAD_TIMEOUT, source.load(known)).await {
                Ok(Ok(set)) => Ok(set.map(Arc::new)),
                Ok(Err(error)) => Err(Arc::new(error)),
                Err(_) => Err(Arc::new(LoadError::Slow)),
            }
        };
        let reading = Reading { future: load.boxed().shared(), started: self.clock.now() };
        state.reading = Some(reading.clone());
        reading
    }

    /// The reading on its way. One that everybody left before it ended would only tell that it took too long, so it
    /// is forgotten.
    fn underway(&self, state: &State) -> Option<Reading> {
        let alive = |reading: &&Reading| {
            u128::from(self.clock.now().since(reading.started)) < LOAD_TIMEOUT.as_millis()
        };
        state.reading.as_ref().filter(alive).cloned()
    }

    /// Takes a reading's outcome in. Everybody who waited calls it; the first call counts.
    fn settle(&self, reading: &Reading, outcome: Outcome) {
        let now = self.clock.now();
        let mut state = self.lock();
        let is_this = |kept: &Reading| kept.future.ptr_eq(&reading.future);
        if !state.reading.as_ref().is_some_and(is_this) {
            return;
        }
        state.reading = None;
        match outcome {
            Ok(changed) => {
                state.confirmed = now;
                state.refresh_at = now.after(self.pace.refresh);
                if let Some(keys) = changed {
                    tracing::info!(keys = keys.len(), "signing keys are new");
                    state.keys = Some(keys);
                }
            }
            Err(error) => {
                let retry = if state.keys.is_some() { self.pace.gap } else { FIRST_RETRY_MILLIS };
                state.refresh_at = now.after(retry);
                drop(state);
                warn(&error);
            }
        }
    }

    fn trusted(&self, state: &State) -> Option<Arc<KeySet>> {
        let fresh = self.clock.now().since(state.confirmed) <= self.pace.max_age;
        state.keys.clone().filter(|_| fresh)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(error: &LoadError) {
    let error = outbound::chain(error);
    tracing::warn!(error, "signing keys could not be read; the last good ones, if any, still count");
}

/// A duration in the clock's unit.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
