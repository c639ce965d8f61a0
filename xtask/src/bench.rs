//! `cargo xtask bench`: release binaries of `presence` and `presence-bench`, the servers, and off it goes. Measures
//! nothing itself and pins nothing to a core.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::process;
use crate::servers::Servers;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, name: Option<&str>, rest: &[String]) -> Result<ExitCode> {
    let build = ["build", "--release", "--package", "presence", "--package", "presence-bench"];
    process::run(workspace.cargo().args(build))?;
    let servers = Servers::start(workspace)?;
    let mut bench = Command::new(workspace.built("release", "presence-bench"));
    bench.current_dir(&workspace.root).args(name).args(rest);
    servers.tell(&mut bench);
    bench.env("PRESENCE_BENCH_BIN", workspace.built("release", "presence"));
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}
