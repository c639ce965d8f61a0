//! The binaries that go into images. A release binary is built so that where it was built cannot be told from it: two clones
//! at two places give the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// What is shipped
    Release,
    /// What tests load: the debug binary, without its debug information
    Dev,
}

pub(crate) fn build(workspace: &Workspace, name: &str, profile: Profile) -> Result<PathBuf> {
    match profile {
        Profile::Release => release(workspace, name),
        Profile::Dev => dev(workspace, name),
    }
}

/// Built with flags of its own, so into a folder of its own: `cargo build --release` is not undone by it.
fn release(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let target = workspace.target().join("image");
    let places = Places::of(workspace, &target)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked", "--package", name, "--bin", name]);
    cargo.env("CARGO_TARGET_DIR", &target);
    // A developer's own flags would make another binary of it.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", places.rust_flags());
    for language in ["CFLAGS", "CXXFLAGS"] {
        cargo.env(language, places.c_flags());
    }
    // The C parts of crates: no time of day.
    cargo.env("SOURCE_DATE_EPOCH", "0").env("ZERO_AR_DATE", "1");
    process::run(&mut cargo)?;
    Ok(target.join("release").join(name))
}

/// The command is that of the tiers (`tiers.rs`), so that what they have built is not built again.
fn dev(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    process::run(workspace.cargo().args(["build", "--workspace", "--bin", name]))?;
    let folder = workspace.target().join("image/dev");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let stripped = folder.join(name);
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "--enable-deterministic-archives", "-o"]).arg(&stripped);
    process::run(strip.arg(workspace.built("debug", name)))?;
    Ok(stripped)
}

/// Folders of this machine, and what a binary is told instead; of two that match, the later one counts.
#[derive(Debug)]
struct Places(Vec<(PathBuf, &'static str)>);

impl Places {
    fn of(workspace: &Workspace, target: &Path) -> Result<Self> {
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
            .context("find cargo's home: set CARGO_HOME")?;
        let mut rustc = Command::new("rustc");
        let sysroot = process::output(rustc.current_dir(&workspace.root).args(["--print", "sysroot"]))?;
        // The registry's folder is named after the index, which differs from mirror to mirror.
        let registry = cargo_home.join("registry/src");
        let mut places = vec![(cargo_home, "/cargo"), (sysroot.trim().into(), "/rust")];
        let indices = std::fs::read_dir(&registry).with_context(|| format!("list {}", registry.display()))?;
        let mut indices: Vec<PathBuf> = indices.flatten().map(|entry| entry.path()).collect();
        indices.sort_unstable();
        places.extend(indices.into_iter().map(|index| (index, "/crates")));
        places.extend([(workspace.root.clone(), "/presence"), (target.to_owned(), "/target")]);
        Ok(Self(places))
    }

    fn rust_flags(&self) -> String {
        let flag = |(from, to): &(PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
        // Flags of `CARGO_ENCODED_RUSTFLAGS` are parted by this character.
        self.0.iter().map(flag).collect::<Vec<_>>().join("\x1f")
    }

    /// Paths that a C compiler writes down by itself (`__FILE__`). It knows no way to write a space.
    fn c_flags(&self) -> String {
        let flag = |(from, to): &(PathBuf, &str)| format!("-ffile-prefix-map={}={to}", from.display());
        self.0.iter().map(flag).collect::<Vec<_>>().join(" ")
    }
}
