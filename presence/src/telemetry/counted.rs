//! One of those that a gauge counts, for as long as it is there.

use prometheus_client::metrics::gauge::Gauge;

/// Counted until it is dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
