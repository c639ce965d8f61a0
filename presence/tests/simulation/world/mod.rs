//! The world that all replicas and agents of a run share: one store, one stream, one network, one wall clock, and the
//! history of what everybody saw. Nothing in it is concurrent, all of it is in virtual time.

pub(crate) mod bus;
pub(crate) mod defect;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod tables;
pub(crate) mod weather;

use crate::chance::Chance;
use defect::Defect;
use peers::Inboxes;
use presence_api::history::{Act, Entry};
use presence_core::ids::ReplicaId;
use process::Process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stream::Stream;
use tables::Tables;
use tokio::time::Instant;
use weather::Weather;

/// When every run begins, in microseconds since 1970: what a wall clock shows must look like it.
const BEGINNING: i64 = 1_900_000_000_000_000;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    origin: Instant,
    pub(crate) defect: Option<Defect>,
    pub(crate) weather: Weather,
    tables: Mutex<Tables>,
    last_statement: Mutex<i64>,
    pub(crate) stream: Stream,
    inboxes: Mutex<Inboxes>,
    processes: Mutex<Vec<Arc<Process>>>,
    history: Mutex<Vec<Entry>>,
    /// What is printed of a run that is traced.
    trace: Option<Mutex<Vec<String>>>,
}

/// Nothing panics while it holds one of the world's locks, so a poisoned one is still whole.
pub(crate) fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(seed: u64, defect: Option<Defect>, traced: bool) -> Arc<Self> {
        Arc::new(Self {
            seed,
            origin: Instant::now(),
            defect,
            weather: Weather::of(seed),
            tables: Mutex::new(Tables::new(defect)),
            last_statement: Mutex::default(),
            stream: Stream::new(),
            inboxes: Mutex::default(),
            processes: Mutex::default(),
            history: Mutex::default(),
            trace: traced.then(Mutex::default),
        })
    }

    pub(crate) fn chance(&self, name: &str) -> Chance {
        Chance::of(self.seed, name)
    }

    /// Microseconds on the one wall clock.
    pub(crate) fn now(&self) -> i64 {
        BEGINNING + i64::try_from(self.origin.elapsed().as_micros()).unwrap_or(i64::MAX / 2)
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Adds a line to the history.
    pub(crate) fn write(&self, began: i64, actor: &str, act: Act) {
        let entry = Entry { began, at: self.now(), actor: actor.to_owned(), act };
        self.enter(entry);
    }

    pub(crate) fn enter(&self, entry: Entry) {
        if self.trace.is_some() {
            self.trace(|| serde_json::to_string(&entry).unwrap_or_default());
        }
        lock(&self.history).push(entry);
    }

    /// Adds a line to what is printed, if it is.
    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let micros = self.now() - BEGINNING;
            let line = format!("{:>4}.{:06} {}", micros / 1_000_000, micros % 1_000_000, what());
            lock(trace).push(line);
        }
    }

    /// The database's clock: statements lie ten microseconds apart, as they would.
    pub(crate) fn statement_time(&self) -> i64 {
        let mut last = lock(&self.last_statement);
        *last = self.now().max(*last + 10);
        *last
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    pub(crate) fn add_process(&self, process: Arc<Process>) {
        lock(&self.processes).push(process);
    }

    /// All that there ever were, in the order of their starts.
    pub(crate) fn processes(&self) -> Vec<Arc<Process>> {
        lock(&self.processes).clone()
    }

    pub(crate) fn label_of(&self, id: ReplicaId) -> String {
        let processes = lock(&self.processes);
        let process = processes.iter().find(|process| process.id == id);
        process.map_or_else(|| id.to_string(), |process| process.label.clone())
    }

    pub(crate) fn take_history(&self) -> Vec<Entry> {
        std::mem::take(&mut *lock(&self.history))
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| std::mem::take(&mut *lock(trace))).unwrap_or_default()
    }
}
