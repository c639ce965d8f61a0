//! cargo-deny, which checks licences, banned crates and sources. What it checks is in `deny.toml`.

use std::path::PathBuf;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, tools};

const VERSION: &str = "0.20.2";

pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let root = tools::cache()?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    let _lock = tools::lock_cache()?;
    if !tools::is_program(&program) {
        println!("installing cargo-deny {VERSION} (once; a few minutes) …");
        let mut install = workspace.cargo();
        install.args(["install", "--quiet", "--locked", "--version", VERSION, "--root"]).arg(&root);
        process::run(install.arg("cargo-deny"))?;
    }
    Ok(program)
}
