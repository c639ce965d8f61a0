//! Logs on standard error: for people, or one JSON object a line.

use crate::config::log::{Log, LogFormat};
use std::io::{IsTerminal as _, stderr};
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, filter::ParseError, fmt, registry::LookupSpan};

pub(super) fn layer<S>(log: &Log) -> Result<impl Layer<S>, ParseError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = match log.format {
        LogFormat::Pretty => fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    };
    Ok(layer.with_filter(EnvFilter::try_new(&log.level)?))
}
