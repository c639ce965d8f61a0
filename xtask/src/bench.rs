//! `cargo xtask bench`: release binaries of `presence` and `presence-bench`, the servers on CPU 0, and off it goes.
//! Measures nothing itself; `presence-bench` puts `presence` beside the servers, and itself on CPU 1. The benchmarks of
//! classroom apps (`apps-…`) measure other Socket.IO servers beside it: those are built and installed for them alone. One is
//! ours: `operator` needs a Kubernetes, which xtask makes.

mod operator;
mod report;

use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::process;
use crate::servers::Servers;
use crate::tools::node::Node;
use crate::workspace::Workspace;

const OPERATOR: &str = "operator";

pub(crate) fn run(workspace: &Workspace, name: Option<&str>, rest: &[String]) -> Result<ExitCode> {
    if name == Some(OPERATOR) {
        return operator::run(workspace, rest);
    }
    if name.is_none() {
        println!(
            "`{OPERATOR}` measures the operator in a cluster of its own. The others are presence-bench's:"
        );
    }
    let has_rivals = name.is_some_and(|name| name.starts_with("apps-"));
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--package", "presence", "--package", "presence-bench"]);
    if has_rivals {
        build.args(["--package", "presence-reference"]);
    }
    process::run(&mut build)?;
    let node = if has_rivals { Some(Node::ensure(workspace)?) } else { None };
    stay_on_cpu_0()?;
    let servers = Servers::start(workspace)?;
    let mut bench = Command::new(workspace.built("release", "presence-bench"));
    bench.current_dir(&workspace.root).args(name).args(rest);
    servers.tell(&mut bench);
    if let Some(node) = node {
        node.tell(&mut bench);
        bench.env("PRESENCE_BENCH_REFERENCE", workspace.built("release", "presence-reference"));
    }
    bench.env("PRESENCE_BENCH_BIN", workspace.built("release", "presence"));
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}

/// What is started from here on starts there too: figures are those of one core.
fn stay_on_cpu_0() -> Result<()> {
    let pid = std::process::id().to_string();
    process::run(Command::new("taskset").args(["--cpu-list", "--pid", "0", &pid]).stdout(Stdio::null()))
}
