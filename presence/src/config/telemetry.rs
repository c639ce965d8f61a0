//! `telemetry`: where traces go.

use super::text::HttpUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The OTLP/HTTP collector that traces are sent to; `/v1/traces` is added. Without it, none are made.
    #[schemars(example = "http://otel-collector:4318")]
    pub otlp_endpoint: Option<HttpUrl>,
    /// Which part of the traces that begin here is kept.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}
