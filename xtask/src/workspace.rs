//! Where the workspace is, and how its cargo and git are called. Decides nothing about what they are called for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// `cargo metadata --no-deps`.
    pub(crate) metadata: Value,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`; the fallback serves a binary started by hand.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().context("xtask lies inside the workspace")?.to_owned();
        let mut ask = cargo(&root);
        ask.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = serde_json::from_str(&process::output(&mut ask)?).context("read cargo metadata")?;
        Ok(Self { root, metadata })
    }

    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.root)
    }

    /// Where binaries of a profile (`debug`, `release`) come out.
    pub(crate) fn built(&self, profile: &str, name: &str) -> PathBuf {
        self.target().join(profile).join(name)
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.metadata["target_directory"].as_str().map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// Paths of all files that are, or could be, committed; relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut git = Command::new("git");
        git.current_dir(&self.root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let listed = process::output(&mut git)?;
        let mut files: Vec<String> =
            listed.trim_end().split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }

    /// The names of all integration test targets.
    pub(crate) fn test_targets(&self) -> Vec<String> {
        let mut names = Vec::new();
        for package in self.metadata["packages"].as_array().into_iter().flatten() {
            for target in package["targets"].as_array().into_iter().flatten() {
                let is_test =
                    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test"));
                if let (true, Some(name)) = (is_test, target["name"].as_str()) {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The cargo that runs us, without the variables it set for us: build scripts that watch them (ring does) would
/// be built anew each time the caller alternates between `cargo xtask` and `cargo`.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
