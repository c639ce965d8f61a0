//! What the operator says of itself: logs, and metrics for Prometheus.

pub mod logs;
pub mod metrics;
pub mod requests;

use std::error::Error;
use std::fmt::Write as _;

pub use metrics::Metrics;

/// An error and what is underneath, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(under) = cause {
        let said = under.to_string();
        // kube repeats the cause in its own text.
        if !text.contains(&said) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {said}");
        }
        cause = under.source();
    }
    text
}
