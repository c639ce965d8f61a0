//! Metrics, logs and traces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, patterns, rules};

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Whether there is a PodMonitor, where the cluster knows such.
    pub pod_monitor: bool,
    /// How often metrics are read.
    #[schemars(transform = rules::within(Period::secs(1), Period::secs(3600)))]
    pub interval: Period,
    /// Labels of the PodMonitor, by which a Prometheus selects it.
    #[schemars(transform = rules::labels)]
    pub labels: BTreeMap<String, String>,
    /// What is logged: a level, or several by module, such as `info,presence=debug`.
    #[schemars(length(min = 1, max = 512), regex(pattern = patterns::LOG_LEVEL))]
    pub log_level: String,
    /// The OTLP/HTTP collector that traces are sent to. Without it, none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = patterns::HTTP_URL), transform = rules::address)]
    pub otlp_endpoint: Option<String>,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self {
            pod_monitor: true,
            interval: Period::secs(30),
            labels: BTreeMap::new(),
            log_level: "info,async_nats=off,sqlx=error".to_owned(),
            otlp_endpoint: None,
        }
    }
}
