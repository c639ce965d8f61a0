//! stub
use presence_core::close::Reason;
use std::time::Duration;
#[derive(Debug, Default)]
pub struct Metrics;
#[derive(Debug, Clone, Copy)]
pub enum Refusal {
    Draining,
    Origin,
    AddressCap,
    TotalCap,
}
impl Metrics {
    pub fn delivered(&self, _delivered: usize, _overflowed: usize) {}
    pub fn refused_frame(&self, _reason: Reason) {}
    pub fn closed(&self, _reason: Reason) {}
    pub fn connected(&self, _refused: Option<Reason>, _took: Duration) {}
    pub fn refused(&self, _cause: Refusal) {}
}
