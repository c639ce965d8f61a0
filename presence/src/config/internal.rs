//! `internal`: the port that other replicas, the operator and sibling services reach. It is never exposed.

use super::{Report, text::Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Internal {
    /// Where the internal API listens.
    pub addr: SocketAddr,
    /// What callers of the internal API prove themselves with: `Authorization: Bearer` and this. Required where the
    /// port is reachable from other machines.
    #[schemars(example = "32 or more random characters")]
    pub secret: Option<Secret>,
    /// A file that holds the secret, instead of `secret`.
    #[schemars(example = "/run/secrets/presence-internal")]
    pub secret_file: Option<PathBuf>,
    /// What is taken from callers as well: the next secret, or the former one, while one is put in the place of another.
    #[schemars(example = "32 or more random characters")]
    pub accepted_secret: Option<Secret>,
    /// A file that holds it, instead of `accepted_secret`.
    #[schemars(example = "/run/secrets/presence-internal-accepted")]
    pub accepted_secret_file: Option<PathBuf>,
}

impl Default for Internal {
    fn default() -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 8081).into(),
            secret: None,
            secret_file: None,
            accepted_secret: None,
            accepted_secret_file: None,
        }
    }
}

/// A shorter one could be guessed.
const MIN_SECRET_BYTES: usize = 16;

impl Internal {
    pub(super) fn resolve(&mut self, report: &mut Report) {
        report.fill("internal.secret", &mut self.secret, self.secret_file.as_deref());
        report.fill(
            "internal.accepted_secret",
            &mut self.accepted_secret,
            self.accepted_secret_file.as_deref(),
        );
    }

    pub(super) fn check(&self, report: &mut Report) {
        let keys = [("internal.secret", &self.secret), ("internal.accepted_secret", &self.accepted_secret)];
        for (key, secret) in
            keys.into_iter().filter_map(|(key, secret)| Some((key, secret.as_ref()?.expose())))
        {
            if secret.len() < MIN_SECRET_BYTES {
                report.bad(key, "shorter than 16 characters");
            } else if !secret.bytes().all(|b| b.is_ascii_graphic()) {
                report.bad(key, "holds what a header cannot: only visible ASCII characters, no space");
            }
        }
        if self.secret.is_none() && self.accepted_secret.is_some() {
            report.bad("internal.secret", "required, because there is an internal.accepted_secret");
        } else if self.secret.is_none() && !self.addr.ip().is_loopback() {
            report.bad("internal.secret", "required, because internal.addr is reachable from other machines");
        }
    }
}
