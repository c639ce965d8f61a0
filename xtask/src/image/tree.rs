//! A file system as it is to be in an image: paths with what lies there, in order. Knows nothing of layers or archives.
//!
//! What differs from machine to machine is left behind: owners, times, permission bits other than "runs" (only what
//! an image asks for by itself has others).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    Link(String),
    /// A file of this machine, read when the layer is written.
    File(PathBuf),
    Text(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// User and group have one number.
    pub(super) owner: u32,
}

impl Entry {
    pub(super) fn dir(mode: u32, owner: u32) -> Self {
        Self { kind: Kind::Dir, mode, owner }
    }

    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self { kind: Kind::Text(text.into()), mode: 0o644, owner: 0 }
    }

    pub(super) fn link(target: impl Into<String>) -> Self {
        Self { kind: Kind::Link(target.into()), mode: 0o777, owner: 0 }
    }

    pub(super) fn file(from: &Path) -> Result<Self> {
        let meta = fs::metadata(from).with_context(|| format!("look at {}", from.display()))?;
        if !meta.is_file() {
            bail!("{} is not a file", from.display());
        }
        let mode = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        Ok(Self { kind: Kind::File(from.to_owned()), mode, owner: 0 })
    }
}

/// Keys have no slash at the start, so a folder always comes before what is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    pub(super) fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The files of this machine in it.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.entries.values().filter_map(|entry| match &entry.kind {
            Kind::File(from) => Some(from.as_path()),
            _ => None,
        })
    }

    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&place(path).ok()?)
    }

    /// Puts one thing at its place. The same thing may come again, with another mode; another thing may not.
    pub(super) fn put(&mut self, path: &str, entry: Entry) -> Result<()> {
        let place = place(path)?;
        if let Some(there) = self.entries.get(&place)
            && there.kind != entry.kind
        {
            bail!("the image has two things at /{place}: {:?} and {:?}", there.kind, entry.kind);
        }
        self.entries.insert(place, entry);
        Ok(())
    }

    /// Brings a file, or a folder with all that is in it; links stay links. Sockets, pipes and devices stay behind.
    pub(super) fn bring(&mut self, from: &Path, to: &str, leave_out: &[String]) -> Result<()> {
        let at = format!("/{}", place(to)?);
        if leave_out.iter().any(|out| Path::new(&at).starts_with(out)) {
            return Ok(());
        }
        let meta = fs::symlink_metadata(from).with_context(|| format!("look at {}", from.display()))?;
        if meta.is_symlink() {
            let target = fs::read_link(from).with_context(|| format!("read the link {}", from.display()))?;
            return self.put(&at, Entry::link(text(&target)?));
        }
        if meta.is_file() {
            return self.put(&at, Entry::file(from)?);
        }
        if !meta.is_dir() {
            return Ok(());
        }
        if self.get(&at).is_none() {
            self.put(&at, Entry::dir(0o755, 0))?;
        }
        for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
            let path = entry.with_context(|| format!("list {}", from.display()))?.path();
            let name = text(Path::new(path.file_name().context("a folder's entry has a name")?))?;
            self.bring(&path, &format!("{at}/{name}"), leave_out)?;
        }
        Ok(())
    }

    /// What is here and not, or not so, in `base`; with the folders above it.
    pub(super) fn over(&self, base: &Self) -> Self {
        let mut over = Self::default();
        for (path, entry) in
            self.entries.iter().filter(|(path, entry)| base.entries.get(*path) != Some(*entry))
        {
            for (slash, _) in path.match_indices('/') {
                let above = &path[..slash];
                let known = self.entries.get(above).or_else(|| base.entries.get(above));
                let dir = known.cloned().unwrap_or_else(|| Entry::dir(0o755, 0));
                over.entries.entry(above.to_owned()).or_insert(dir);
            }
            over.entries.insert(path.clone(), entry.clone());
        }
        over
    }
}

/// Where a path lies in the image: absolute, without dots, and below `/usr` where `/bin`, `/lib` and the like link to it.
pub(super) fn place(path: &str) -> Result<String> {
    let Some(inner) = path.strip_prefix('/') else { bail!("`{path}` is not an absolute path") };
    let parts: Vec<&str> = inner.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..")) {
        bail!("`{path}` is no place in an image: give a path without dots, below /");
    }
    let merged = parts.len() > 1 && MERGED.contains(&parts[0]);
    Ok(if merged { format!("usr/{}", parts.join("/")) } else { parts.join("/") })
}

/// Folders that are links into `/usr`, as on every Debian since 12.
pub(super) const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

pub(super) fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_absolute_and_below_usr_where_a_link_would_lead_there() {
        assert_eq!(place("/lib/x86_64-linux-gnu/libc.so.6").unwrap(), "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(place("/bin/sh").unwrap(), "usr/bin/sh");
        assert_eq!(place("//usr/local//bin/x/").unwrap(), "usr/local/bin/x");
        assert_eq!(place("/lib").unwrap(), "lib");
        for bad in ["", "/", "bin/sh", "/etc/../x", "/./x"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_things_at_one_place_are_refused() {
        let mut tree = Tree::default();
        tree.put("/a/b", Entry::text("1")).unwrap();
        tree.put("/a/b", Entry::text("1")).unwrap();
        assert!(tree.put("/a/b", Entry::text("2")).unwrap_err().to_string().contains("/a/b"));
        tree.put("/tmp", Entry::dir(0o755, 0)).unwrap();
        tree.put("/tmp", Entry::dir(0o1777, 0)).unwrap();
        assert_eq!(tree.get("/tmp").unwrap().mode, 0o1777);
    }

    #[test]
    fn a_folder_is_brought_with_links_and_without_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/run"), "x").unwrap();
        fs::set_permissions(folder.path().join("deep/run"), fs::Permissions::from_mode(0o710)).unwrap();
        fs::write(folder.path().join("big"), "x").unwrap();
        std::os::unix::fs::symlink("deep/run", folder.path().join("short")).unwrap();
        let mut tree = Tree::default();
        tree.bring(folder.path(), "/opt", &["/opt/big".to_owned()]).unwrap();
        let found: Vec<_> = tree.entries().keys().map(String::as_str).collect();
        assert_eq!(found, ["opt", "opt/deep", "opt/deep/run", "opt/short"]);
        assert_eq!(tree.get("/opt/deep/run").unwrap().mode, 0o755);
        assert_eq!(tree.get("/opt/short").unwrap().kind, Kind::Link("deep/run".to_owned()));
    }

    #[test]
    fn the_layer_above_has_only_what_is_new_and_keeps_the_modes_of_folders() {
        let mut base = Tree::default();
        base.put("/tmp", Entry::dir(0o1777, 0)).unwrap();
        base.put("/etc/passwd", Entry::text("a")).unwrap();
        let mut own = base.clone();
        own.put("/tmp/cache/x", Entry::text("x")).unwrap();
        let over = own.over(&base);
        let found: Vec<_> = over.entries().iter().map(|(path, entry)| (path.as_str(), entry.mode)).collect();
        assert_eq!(found, [("tmp", 0o1777), ("tmp/cache", 0o755), ("tmp/cache/x", 0o644)]);
    }
}
