//! No analytics: nobody is told.

use crate::ports::analytics::{Analytics, Report};

#[derive(Debug, Clone, Copy)]
pub struct NoAnalytics;

impl Analytics for NoAnalytics {
    fn report(&self, _: Report) {}
}
