//! Which Debian packages an image's libraries and programs are of, for those who look for known faults in it (the way of
//! distroless images: `/var/lib/dpkg/status.d`), and those packages' copyright. On another system an image does without.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::recipe::Recipe;
use super::tree::{Kind, Tree};
use crate::{process, tools};

/// Of no library: the base layer always has them.
const ALWAYS: &str = "ca-certificates";

/// The recipe, with what the packages of the system say of themselves.
pub(super) fn describe(mut recipe: Recipe) -> Result<Recipe> {
    if tools::in_path("dpkg-query").is_none() {
        return Ok(recipe);
    }
    let (base, own) = recipe.trees()?;
    for package in of_files(&[&base, &own])? {
        let ask = process::output(Command::new("dpkg-query").args(["--status", &package]))?;
        recipe.texts.push((format!("/var/lib/dpkg/status.d/{package}"), ask));
        // The folder may be a link to that of another package of the same source.
        let copyright = PathBuf::from(format!("/usr/share/doc/{package}/copyright"));
        if let Ok(text) = fs::read_to_string(&copyright) {
            recipe.texts.push((copyright.display().to_string(), text));
        }
    }
    Ok(recipe)
}

/// Names of packages, without the architecture.
fn of_files(trees: &[&Tree]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::from([ALWAYS.to_owned()]);
    for path in trees.iter().flat_map(|tree| tree.entries().values()) {
        let Kind::File(path) = &path.kind else { continue };
        if path.starts_with("/usr") || path.starts_with("/lib") {
            found.extend(of_file(path).with_context(|| format!("whose is {}", path.display()))?);
        }
    }
    Ok(found)
}

/// Packages of before the merge of `/lib` into `/usr/lib` list their files where they lay then.
fn of_file(path: &Path) -> Result<Option<String>> {
    let before = path.strip_prefix("/usr").map(|rest| Path::new("/").join(rest)).ok();
    for path in [Some(path.to_owned()), before].into_iter().flatten() {
        process::check_interrupted()?;
        let mut ask = Command::new("dpkg-query");
        if let Some(said) = process::probe(ask.env("LC_ALL", "C").arg("--search").arg(&path)) {
            return Ok(owner(&said));
        }
    }
    Ok(None)
}

/// From `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`.
fn owner(said: &str) -> Option<String> {
    let name = said.lines().find(|line| !line.starts_with("diversion "))?.split([':', ',']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_without_its_architecture() {
        assert_eq!(owner("libc6:amd64: /lib/libc.so.6\n").as_deref(), Some("libc6"));
        assert_eq!(owner("dash: /bin/sh\n").as_deref(), Some("dash"));
        assert_eq!(owner("diversion by dash from: /bin/sh\ndash: /bin/sh\n").as_deref(), Some("dash"));
        assert_eq!(owner(""), None);
    }
}
