//! What the process tells those who run it: logs, traces, metrics, readiness.
//!
//! `init` starts logs and traces, and its guard flushes them. `metrics` is the one table of metric names. Nothing here
//! is global but the subscriber of `tracing`: metrics and readiness are handed to whom they concern.

mod counted;
mod forwarded;
mod knocks;
mod logs;
pub mod metrics;
pub mod readiness;
mod traces;

pub use counted::Counted;
pub use forwarded::Forwarded;
pub use metrics::Metrics;
pub use readiness::Readiness;

use crate::config::{log::Log, telemetry::Telemetry};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log.level cannot be used")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are already being written elsewhere")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    #[error("traces cannot be sent to telemetry.otlp_endpoint")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Sends what is left of the traces when it goes. Dropping it blocks for up to `FLUSH`: keep it in `main`, outside
/// of the runtime.
#[derive(Debug)]
#[must_use = "traces end when this is dropped"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
}

/// A collector that does not answer holds up the exit no longer than this.
const FLUSH: Duration = Duration::from_secs(3);

/// Starts logs on standard error, and traces where a collector is named. `replica` is this process's label.
pub fn init(log: &Log, telemetry: &Telemetry, replica: &str) -> Result<Guard, Error> {
    let traces = traces::provider(telemetry, replica)?;
    tracing_subscriber::registry()
        .with(traces.as_ref().map(traces::layer))
        .with(logs::layer(log)?)
        .try_init()?;
    Ok(Guard { traces })
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}
