//! Logs on standard error: one JSON object a line, or for people.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::ParseError, fmt, layer::SubscriberExt as _, registry,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Pretty,
}

/// Installs them for the process.
pub fn install(format: LogFormat, level: &str) -> Result<(), ParseError> {
    let layer = match format {
        LogFormat::Pretty => fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    };
    let subscriber = registry().with(layer.with_filter(EnvFilter::try_new(level)?));
    // A second one in a process that has one already (a test) is no harm.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}
