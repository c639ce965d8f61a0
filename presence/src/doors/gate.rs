//! How many sockets may wait to show a token: in all, and per address. One that has shown it counts no more.

use prometheus_client::metrics::gauge::Gauge;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Debug)]
pub struct Gate {
    waiting: Mutex<Waiting>,
    total_cap: usize,
    address_cap: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Which cap was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Total,
    Address,
}

impl Gate {
    pub fn new(total_cap: usize, address_cap: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), total_cap, address_cap })
    }

    /// A place to wait in, or which cap leaves none.
    pub fn enter(self: &Arc<Self>, address: IpAddr, gauge: &Gauge) -> Result<Permit, Full> {
        let mut waiting = self.lock();
        if waiting.total >= self.total_cap {
            return Err(Full::Total);
        }
        let here = waiting.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.address_cap {
            return Err(Full::Address);
        }
        waiting.by_address.insert(address, here + 1);
        waiting.total += 1;
        gauge.inc();
        Ok(Permit { gate: self.clone(), address, gauge: gauge.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A place at the gate, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
    gauge: Gauge,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.dec();
        let mut waiting = self.gate.lock();
        waiting.total -= 1;
        if let Some(here) = waiting.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                waiting.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_caps_hold_and_places_come_back() {
        let (gate, gauge) = (Gate::new(3, 2), Gauge::default());
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = gate.enter(a, &gauge).unwrap();
        let _second = gate.enter(a, &gauge).unwrap();
        assert_eq!(gate.enter(a, &gauge).unwrap_err(), Full::Address);
        let _third = gate.enter(b, &gauge).unwrap();
        assert_eq!(gate.enter(b, &gauge).unwrap_err(), Full::Total);
        assert_eq!(gauge.get(), 3);
        drop(first);
        assert!(gate.enter(a, &gauge).is_ok());
    }
}
