//! `metrics`: the port for health checks and metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub addr: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { addr: (Ipv4Addr::LOCALHOST, 8888).into() }
    }
}
