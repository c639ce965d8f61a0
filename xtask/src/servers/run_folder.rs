//! The folder that holds the data of one run's servers. Its name carries the process id of its xtask, so a later run
//! can see that the owner was killed, and take down what it left: first the processes that work in the folder, then
//! the folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::process;

const PREFIX: &str = "presence-xtask-";

#[derive(Debug)]
pub(crate) struct RunFolder {
    folder: TempDir,
}

impl RunFolder {
    pub(crate) fn make() -> Result<Self> {
        let parent = std::env::temp_dir();
        clean_after_the_dead(&parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent);
        let folder = folder.with_context(|| format!("make a folder in {}", parent.display()))?;
        // PostgreSQL runs as another user when we are root, and has to pass through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .context("open the run folder")?;
        Ok(Self { folder })
    }

    pub(crate) fn of(&self, server: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(server);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Copies the servers' logs to where they outlive the run.
    pub(crate) fn keep_logs(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
        for server in fs::read_dir(self.folder.path()).context("list the servers")?.flatten() {
            let name = format!("{}.log", server.file_name().to_string_lossy());
            let log = server.path().join(&name);
            if log.exists() {
                fs::copy(&log, to.join(&name)).with_context(|| format!("copy {}", log.display()))?;
            }
        }
        Ok(())
    }
}

/// Best effort: what cannot be removed belongs to somebody else.
fn clean_after_the_dead(parent: &Path) {
    // Without /proc (not Linux) nobody can be known to be dead.
    if !Path::new("/proc/self/comm").exists() {
        return;
    }
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let Some(owner) = owner(&entry.file_name().to_string_lossy()) else {
            continue;
        };
        let comm = fs::read_to_string(format!("/proc/{owner}/comm")).unwrap_or_default();
        if comm.starts_with("xtask") {
            continue;
        }
        let folder = entry.path();
        for pid in at_work_in(&folder) {
            println!("servers: killing {}, left by a run that was killed", pid.as_raw_nonzero());
            process::signal_one(pid, Signal::KILL);
        }
        drop(fs::remove_dir_all(&folder));
    }
}

fn owner(folder: &str) -> Option<u32> {
    folder.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Servers are started in their data folders, so their working directory tells whose they are.
fn at_work_in(folder: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)) {
            found.push(pid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner("presence-xtask-4711-aB3"), Some(4711));
        assert_eq!(owner("presence-xtask-cache"), None);
        assert_eq!(owner("other-4711-x"), None);
    }

    #[test]
    fn what_a_dead_run_left_is_taken_down_and_the_living_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        // No process has this id: it is above the kernel's highest.
        let dead = parent.path().join(format!("{PREFIX}4194999-x"));
        let alive = parent.path().join(format!("{PREFIX}{}-x", std::process::id()));
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&alive).unwrap();
        let mut left = std::process::Command::new("sleep").arg("60").current_dir(&dead).spawn().unwrap();
        clean_after_the_dead(parent.path());
        assert!(!left.wait().unwrap().success());
        assert!(!dead.exists());
        assert!(alive.exists());
    }
}
