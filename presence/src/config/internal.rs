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
}

impl Default for Internal {
    fn default() -> Self {
        Self { addr: (Ipv4Addr::LOCALHOST, 8081).into(), secret: None, secret_file: None }
    }
}

/// A shorter one could be guessed.
const MIN_SECRET_BYTES: usize = 16;

impl Internal {
    pub(super) fn resolve(&mut self, report: &mut Report) {
        report.fill("internal.secret", &mut self.secret, self.secret_file.as_deref());
    }

    pub(super) fn check(&self, report: &mut Report) {
        match &self.secret {
            Some(secret) if secret.expose().len() < MIN_SECRET_BYTES => {
                report.bad("internal.secret", "shorter than 16 characters");
            }
            Some(secret) if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) => {
                report.bad(
                    "internal.secret",
                    "holds what a header cannot: only visible ASCII characters, no space",
                );
            }
            None if !self.addr.ip().is_loopback() => {
                report.bad(
                    "internal.secret",
                    "required, because internal.addr is reachable from other machines",
                );
            }
            Some(_) | None => {}
        }
    }
}
