//! `cargo xtask bench`: release binaries of `presence` and `presence-bench`, the servers on CPU 0, and off it goes.
//! Measures nothing itself; `presence-bench` puts `presence` beside the servers, and itself on CPU 1.

use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::process;
use crate::servers::Servers;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, name: Option<&str>, rest: &[String]) -> Result<ExitCode> {
    let build = ["build", "--release", "--package", "presence", "--package", "presence-bench"];
    process::run(workspace.cargo().args(build))?;
    stay_on_cpu_0()?;
    let servers = Servers::start(workspace)?;
    let mut bench = Command::new(workspace.built("release", "presence-bench"));
    bench.current_dir(&workspace.root).args(name).args(rest);
    servers.tell(&mut bench);
    bench.env("PRESENCE_BENCH_BIN", workspace.built("release", "presence"));
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}

/// What is started from here on starts there too: figures are those of one core.
fn stay_on_cpu_0() -> Result<()> {
    let pid = std::process::id().to_string();
    process::run(Command::new("taskset").args(["--cpu-list", "--pid", "0", &pid]).stdout(Stdio::null()))
}
