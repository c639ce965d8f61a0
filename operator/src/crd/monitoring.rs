//! Metrics, logs and traces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Whether there is a PodMonitor, where the cluster knows such.
    pub pod_monitor: bool,
    /// How often metrics are read.
    pub interval: Period,
    /// Labels of the PodMonitor, by which a Prometheus selects it.
    pub labels: BTreeMap<String, String>,
    /// What is logged: a level, or several by module.
    #[schemars(length(min = 1, max = 512))]
    pub log_level: String,
    /// The OTLP/HTTP collector that traces are sent to. Without it, none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
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
