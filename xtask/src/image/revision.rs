//! Which sources an image is of, and when they were made: by git, and `SOURCE_DATE_EPOCH` where it is set. The clock of
//! this machine has no say.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(super) struct Revision {
    /// Empty where the sources are in no repository.
    pub(super) commit: String,
    /// Seconds since 1970.
    pub(super) time: i64,
}

impl Revision {
    pub(super) fn of(workspace: &Workspace) -> Result<Self> {
        let git = |args: &[&str]| {
            let told = process::probe(Command::new("git").current_dir(&workspace.root).args(args));
            told.map(|text| text.trim().to_owned())
        };
        let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        let commit = git(&["rev-parse", "HEAD"]).unwrap_or_default();
        let commit = if changed { format!("{commit}-changed") } else { commit };
        let time = match std::env::var("SOURCE_DATE_EPOCH").ok().filter(|text| !text.is_empty()) {
            Some(text) => text.parse().with_context(|| format!("read SOURCE_DATE_EPOCH={text}"))?,
            None => git(&["log", "-1", "--format=%ct"]).and_then(|text| text.parse().ok()).unwrap_or(0),
        };
        Ok(Self { commit, time })
    }

    pub(super) fn created(&self) -> String {
        jiff::Timestamp::from_second(self.time).map(|time| time.to_string()).unwrap_or_default()
    }
}
