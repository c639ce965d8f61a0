//! Who signs tokens for a local presence: a key of its own, made on the spot by `presence token`. The private half stays in the
//! cache, the public half goes into the cluster.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::short;
use crate::{process, tools};

/// As `presence token` says it (`presence/src/adapters/authn_jwt/embedded.rs`).
pub(super) const ISSUER: &str = "presence-embedded";
pub(super) const AUDIENCE: &str = "local";
const KEY: &str = "token-key.pem";
/// For a Service to be routed to on all nodes.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Issuer {
    folder: PathBuf,
    presence: PathBuf,
    /// PEM.
    pub(super) public_key: String,
}

impl Issuer {
    /// The one of this folder, made where there is none. `presence` is the binary that signs.
    pub(super) fn of(folder: &Path, presence: &Path) -> Result<Self> {
        if !folder.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| format!("make {}", folder.display()))?;
        }
        let mut issuer =
            Self { folder: folder.to_owned(), presence: presence.to_owned(), public_key: String::new() };
        if !folder.join(KEY).exists() {
            // The token itself is for nobody: signing it makes the key.
            process::output(issuer.presence().args(["token", "--account", "nobody", "--ttl", "1s"]))?;
        }
        let mut openssl = Command::new(tools::apt::openssl()?);
        openssl.args(["pkey", "-pubout", "-in"]).arg(folder.join(KEY));
        issuer.public_key = process::output(&mut openssl).context("read the public half of the key")?;
        Ok(issuer)
    }

    /// What makes `presence` sign with this key.
    pub(super) fn variable(&self) -> String {
        format!("PRESENCE_DATA_DIR={}", short(&self.folder))
    }

    /// Without the settings of whoever calls us.
    fn presence(&self) -> Command {
        let mut command = Command::new(&self.presence);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PRESENCE_") {
                command.env_remove(name);
            }
        }
        command.env("PRESENCE_DATA_DIR", &self.folder);
        command
    }

    /// Asks as a client would, until an answer comes: the whole way in, with a token of ours.
    pub(super) fn ask(&self, server: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            process::check_interrupted()?;
            let mut ask = self.presence();
            ask.args(["agents", "math", "--server", server]);
            if process::probe(&mut ask).is_some() {
                return Ok(());
            }
            if started.elapsed() > ANSWERED_WITHIN {
                // Once more, aloud: it says why.
                return process::run(&mut ask).with_context(|| format!("reach presence at {server}"));
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}
