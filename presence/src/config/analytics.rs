//! `analytics`: Mixpanel's HTTP API, which is told who came back to a lesson and who went.

use super::{
    Report,
    text::{HttpUrl, Period, Secret},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Analytics {
    /// The base of the API: `/track` is posted to. Without it nobody is told.
    #[schemars(example = "https://api.mixpanel.com")]
    pub url: Option<HttpUrl>,
    /// Permits an http:// URL of another machine. Whom it tells of, and the token, can then be read on the way.
    pub allow_http: bool,
    /// The project's token.
    #[schemars(example = "a long random word")]
    pub token: Option<Secret>,
    /// A file that holds the token, instead of `token`.
    #[schemars(example = "/run/secrets/presence-mixpanel-token")]
    pub token_file: Option<PathBuf>,
    /// Reports that wait to be sent, at most; more are dropped and counted.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub queue: u32,
    /// How long a report may wait for others to be sent with it.
    pub flush_interval: Period,
    /// How long a request may take.
    pub timeout: Period,
    /// For how long a batch that cannot be had now is tried again; then it is dropped and counted.
    pub patience: Period,
}

impl Default for Analytics {
    fn default() -> Self {
        Self {
            url: None,
            allow_http: false,
            token: None,
            token_file: None,
            queue: 10_000,
            flush_interval: Period::secs(2),
            timeout: Period::secs(10),
            patience: Period::secs(120),
        }
    }
}

impl Analytics {
    pub(super) fn resolve(&mut self, report: &mut Report) {
        report.fill("analytics.token", &mut self.token, self.token_file.as_deref());
    }

    pub(super) fn check(&self, report: &mut Report) {
        report.within("analytics.flush_interval", self.flush_interval, Period::millis(10)..=Period::secs(60));
        report.within("analytics.timeout", self.timeout, Period::millis(100)..=Period::secs(60));
        report.within("analytics.patience", self.patience, Period::secs(0)..=Period::secs(3600));
        if self.url.as_ref().is_some_and(|url| !self.allow_http && !url.is_private()) {
            report.bad("analytics.url", "http:// to another machine, and analytics.allow_http is not set");
        }
        if self.url.is_some() != self.token.is_some() {
            let missing = if self.url.is_some() { "analytics.token" } else { "analytics.url" };
            report.bad(missing, "missing: the one is of no use without the other");
        }
    }
}
