//! `log`: what is written to standard error, and how.

use super::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people: one line an event, in colour on a terminal.
    #[default]
    Pretty,
    /// For machines: one JSON object a line.
    Json,
}

/// What the libraries say of an outage, we say better: once, and with what follows from it.
const DEFAULT_LEVEL: &str = "info,async_nats=off,sqlx=error";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `pretty`: for people; `json`: one object a line.
    pub format: LogFormat,
    /// What is logged: a level, or several by module, as `tracing` has it.
    #[schemars(example = "info,presence=debug")]
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, level: DEFAULT_LEVEL.into() }
    }
}

impl Log {
    pub(super) fn check(&self, report: &mut Report) {
        if self.level.trim().is_empty() || EnvFilter::try_new(&self.level).is_err() {
            report.bad("log.level", "neither a level nor a list of module=level");
        }
    }
}
