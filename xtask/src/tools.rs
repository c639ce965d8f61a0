//! Tools beyond Rust that xtask needs, each made sure of by a file of its own: taken from the machine if it is there
//! and new enough, else brought into the cache. This file owns the cache folder, its lock, and finding programs.
//! The cache lies outside the clone and may be thrown away at any time.

pub(crate) mod apt;
pub(crate) mod autobahn;
pub(crate) mod cargo_deny;
pub(crate) mod crds;
pub(crate) mod go;
pub(crate) mod helm;
pub(crate) mod kubernetes;
pub(crate) mod linters;
pub(crate) mod nats;
pub(crate) mod node;
pub(crate) mod python;

use std::fs::{File, TryLockError};
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The cache: `$PRESENCE_XTASK_CACHE`, else below `$XDG_CACHE_HOME`, else below `~/.cache`.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("PRESENCE_XTASK_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("presence-xtask")))
        .or_else(|| Some(set("HOME")?.join(".cache/presence-xtask")))
        .context("find a cache folder: set PRESENCE_XTASK_CACHE")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("make the cache {}", folder.display()))?;
    Ok(folder)
}

/// Held while something is installed, so that two runs at once do not install into each other. Ends with the file.
pub(crate) fn lock_cache() -> Result<File> {
    let path = cache()?.join("lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => bail!("lock {}: {error}", path.display()),
        }
        if !told {
            println!("waiting until other tools are installed …");
            told = true;
        }
        process::check_interrupted()?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Makes sure of Node and Python with their packages, and tells a command of them. A language that cannot be had is said
/// so, and whatever needs it fails.
pub(crate) fn tell_of_languages(workspace: &Workspace, command: &mut Command) {
    match node::Node::ensure(workspace) {
        Ok(node) => node.tell(command),
        Err(error) => println!("no JavaScript: {error:#}"),
    }
    match python::Python::ensure(workspace) {
        Ok(python) => python.tell(command),
        Err(error) => println!("no Python: {error:#}"),
    }
}

/// Packages of another language, as committed files pin them, in a folder of the cache that is named after them.
pub(crate) struct Pinned {
    pub(crate) home: PathBuf,
    /// Name and text of each.
    pub(crate) files: Vec<(String, String)>,
}

impl Pinned {
    /// What the files say, for this version of the language.
    pub(crate) fn read(workspace: &Workspace, language: &str, paths: &[&str], version: &str) -> Result<Self> {
        let read = |path: &&str| {
            let full = workspace.root.join(path);
            let text = std::fs::read_to_string(&full).with_context(|| format!("read {path}"))?;
            let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, text))
        };
        let files = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self { home: Self::of(language, &(version, &files))?.home, files })
    }

    /// A home that is named after what is pinned, of which no file is in the clone.
    pub(crate) fn of(name: &str, pinned: &impl std::hash::Hash) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        pinned.hash(&mut hasher);
        Ok(Self { home: cache()?.join(format!("{name}-{:016x}", hasher.finish())), files: Vec::new() })
    }

    /// Written last: a folder without it is left from an install that was broken off.
    fn mark(&self) -> PathBuf {
        self.home.join("complete")
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.mark().exists()
    }

    pub(crate) fn complete(&self) -> Result<()> {
        std::fs::write(self.mark(), "").context("mark the install as complete")
    }

    pub(crate) fn make_home_anew(&self) -> Result<()> {
        if self.home.exists() {
            std::fs::remove_dir_all(&self.home).with_context(|| format!("remove {}", self.home.display()))?;
        }
        std::fs::create_dir_all(&self.home).with_context(|| format!("make {}", self.home.display()))
    }
}

/// A program in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
}

pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Folders below `parent` whose name starts so, the highest version first.
pub(crate) fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| (version(&entry.file_name().to_string_lossy()), entry.path()))
        .collect();
    found.sort_unstable();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// The first version number in a text: `nats-server: v2.15.2-rc1` is `[2, 15, 2]`.
pub(crate) fn version(text: &str) -> Vec<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    digits[..end].split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(version("nats-server: v2.15.2-rc1\n"), [2, 15, 2]);
        assert_eq!(version("15"), [15]);
        assert!(version("none").is_empty());
        assert!(version("v2.9.10") < vec![2, 12]);
        assert!(version("v2.12.0") >= vec![2, 12]);
    }

    #[test]
    fn programs_are_found_in_path() {
        assert!(in_path("sh").is_some());
        assert!(in_path("no-such-program").is_none());
    }
}
