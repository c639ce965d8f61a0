//! Where the owners of connections are reached: what the store says of it, remembered for a moment.
//!
//! The address of a replica never changes, so while the store is away the last one that it gave is used on: whether
//! somebody answers there is seen when it is tried.

use crate::ports::{clock::Clock, session_store::Replicas};
use presence_core::{
    ids::ReplicaId,
    time::{Time, millis},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// For how long what the store said is not asked again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a request waits for the store's word, with its turn to ask.
const PATIENCE: Duration = Duration::from_secs(1);
/// A lease may lapse while the store is away from everybody. For so long its holder is still tried.
const LAPSED_PATIENCE: Duration = Duration::from_secs(3);
/// Replicas that are remembered, at most. The owner is part of an id that clients send, and they can invent one; when
/// all places are taken, those of owners that do not exist are given up first.
const MOST: usize = 4096;
/// Questions to the store at a time, at most, whatever clients invent; others wait their turn.
const LOOKS: usize = 8;

#[derive(Debug)]
pub(super) struct Directory {
    replicas: Arc<dyn Replicas>,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<ReplicaId, Arc<Entry>>>,
    looks: Semaphore,
}

/// What is known of one replica. Whoever asks the store about it holds `looking`, and the others wait for the answer.
#[derive(Debug, Default)]
struct Entry {
    looking: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// When the store was last asked, whether it answered or not.
    looked: Option<Time>,
    address: Option<Arc<str>>,
    /// Since when it is seen without a lease.
    lapsed: Option<Time>,
}

impl Directory {
    pub(super) fn new(replicas: Arc<dyn Replicas>, clock: Arc<dyn Clock>) -> Self {
        Self { replicas, clock, entries: Mutex::default(), looks: Semaphore::new(LOOKS) }
    }

    /// Where this replica's internal API is; `None`: it is gone, or nobody can say.
    pub(super) async fn address(&self, id: ReplicaId) -> Option<Arc<str>> {
        let entry = self.entry(id);
        if !entry.is_fresh(self.clock.now()) {
            // Too late: what was known has to do.
            let _ = timeout(PATIENCE, self.look(id, &entry)).await;
        }
        let known = entry.known().clone();
        let lapsed =
            known.lapsed.is_some_and(|since| self.clock.now().since(since) > millis(LAPSED_PATIENCE));
        known.address.filter(|_| !lapsed)
    }

    fn entry(&self, id: ReplicaId) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST && !entries.contains_key(&id) {
            entries.retain(|_, entry| entry.known().address.is_some());
            if entries.len() >= MOST {
                // More replicas than any cluster has.
                entries.clear();
            }
        }
        entries.entry(id).or_default().clone()
    }

    async fn look(&self, id: ReplicaId, entry: &Entry) {
        let _looking = entry.looking.lock().await;
        if entry.is_fresh(self.clock.now()) {
            return;
        }
        let Ok(_turn) = self.looks.acquire().await else { return };
        // Also where this is given up: an answer that never comes is not waited for by those behind, too.
        let _looked = Looked { entry, clock: &*self.clock };
        match self.replicas.whereabouts(id).await {
            Ok(found) => {
                let now = self.clock.now();
                let mut known = entry.known();
                let lives = found.as_ref().is_none_or(|found| found.lives);
                known.lapsed = if lives { None } else { known.lapsed.or(Some(now)) };
                known.address = found.map(|found| found.address.into());
            }
            Err(fault) => {
                tracing::debug!(error = &fault as &dyn std::error::Error, replica = %id, "where is it");
            }
        }
    }
}

/// Notes, when dropped, that the store was asked.
struct Looked<'a> {
    entry: &'a Entry,
    clock: &'a dyn Clock,
}

impl Drop for Looked<'_> {
    fn drop(&mut self) {
        self.entry.known().looked = Some(self.clock.now());
    }
}

impl Entry {
    fn is_fresh(&self, now: Time) -> bool {
        self.known().looked.is_some_and(|looked| now.since(looked) < millis(FRESH))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "whereabouts_tests.rs"]
mod tests;
