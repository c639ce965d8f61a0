//! Node, npm, and the packages of `tests/clients/node/package.json`: the Socket.IO clients and servers that browsers and
//! Node programs use. They are installed exactly as the lock file has them, into the cache; no script of theirs is run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Pinned;
use crate::workspace::Workspace;
use crate::{process, tools};

const AT_LEAST: &[u32] = &[20];
const MANIFESTS: [&str; 2] = ["tests/clients/node/package.json", "tests/clients/node/package-lock.json"];

pub(crate) struct Node {
    program: PathBuf,
    modules: PathBuf,
}

impl Node {
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let (program, npm) = programs()?;
        let version = process::probe(Command::new(&program).arg("--version")).unwrap_or_default();
        let pinned = Pinned::read(workspace, "node", &MANIFESTS, &version)?;
        let modules = pinned.home.join("node_modules");
        let _lock = tools::lock_cache()?;
        if pinned.is_complete() && works(&program, &pinned.home) {
            return Ok(Self { program, modules });
        }
        println!("installing the npm packages of {} (once) …", MANIFESTS[0]);
        pinned.make_home_anew()?;
        for (name, text) in &pinned.files {
            std::fs::write(pinned.home.join(name), text).with_context(|| format!("copy {name}"))?;
        }
        let mut ci = Command::new(npm);
        ci.current_dir(&pinned.home).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        process::run(&mut ci)?;
        if !works(&program, &pinned.home) {
            bail!("the npm packages in {} are installed and cannot be imported", modules.display());
        }
        pinned.complete()?;
        Ok(Self { program, modules })
    }

    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("PRESENCE_TEST_NODE", &self.program).env("PRESENCE_TEST_NODE_MODULES", &self.modules);
    }
}

fn programs() -> Result<(PathBuf, PathBuf)> {
    let found = || {
        let (node, npm) = (tools::in_path("node")?, tools::in_path("npm")?);
        new_enough(&node).then_some((node, npm))
    };
    if let Some(found) = found() {
        return Ok(found);
    }
    let wanted = "the tests' JavaScript clients need Node 20 or later, and npm, in PATH";
    if let Some(old) = tools::in_path("node").filter(|node| !new_enough(node)) {
        bail!("{wanted}; {} is older, or does not run", old.display());
    }
    tools::apt::node().context(wanted)?;
    found().with_context(|| format!("{wanted}; what the Debian packages brought is older"))
}

fn new_enough(node: &Path) -> bool {
    process::probe(Command::new(node).arg("--version"))
        .is_some_and(|said| tools::version(&said) >= AT_LEAST.to_vec())
}

/// A folder may be there and be half of what it was.
fn works(node: &Path, home: &Path) -> bool {
    let imports = "await Promise.all(['socket.io-client', 'socket.io', '@socket.io/redis-adapter'].map((it) => import(it)))";
    let mut command = Command::new(node);
    command.current_dir(home).args(["--input-type=module", "--eval", imports]);
    process::probe(&mut command).is_some()
}
