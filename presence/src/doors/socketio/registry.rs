//! The connections of this replica that poll, or wait for their upgrade, by their ids. One that has its WebSocket is not
//! here, and costs nothing here.

use super::{EngineId, exchange::Exchange};
use prometheus_client::metrics::gauge::Gauge;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub(super) struct Registry {
    exchanges: Mutex<HashMap<EngineId, Arc<Exchange>>>,
    most: usize,
    gauge: Gauge,
}

impl Registry {
    /// With room for so many; whoever comes when it is full is refused.
    pub(super) fn new(most: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { exchanges: Mutex::default(), most, gauge })
    }

    /// A new connection's entry; none where it is full.
    pub(super) fn enter(self: &Arc<Self>, id: EngineId, exchange: Arc<Exchange>) -> Option<Entry> {
        let mut exchanges = self.lock();
        if exchanges.len() >= self.most {
            return None;
        }
        exchanges.insert(id.clone(), exchange.clone());
        self.gauge.inc();
        drop(exchanges);
        Some(Entry { registry: self.clone(), id, exchange })
    }

    pub(super) fn find(&self, id: &EngineId) -> Option<Arc<Exchange>> {
        self.lock().get(id).cloned()
    }

    /// Whether a GET waits.
    #[cfg(test)]
    pub(super) fn any_waits(&self) -> bool {
        self.lock().values().any(|exchange| exchange.is_waited_for())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EngineId, Arc<Exchange>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that can be found; until this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    id: EngineId,
    exchange: Arc<Exchange>,
}

impl Entry {
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.id);
        self.registry.gauge.dec();
        self.exchange.over();
    }
}
