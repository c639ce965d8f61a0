//! `cargo xtask check`: what must hold before a merge, cheapest first. The table below is the list; every step
//! runs even if one before it failed, so that one run tells all. Mends nothing.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{charts, codegen, house, process, tools};

struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: fmt },
    Step { name: "house", run: house::check },
    Step { name: "clippy", run: clippy },
    Step { name: "deny", run: deny },
    Step { name: "chart", run: charts::check },
    Step { name: "generated", run: |workspace| codegen::run(workspace, true) },
];

pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let mut failed = Vec::new();
    for step in STEPS {
        println!("check: {} …", step.name);
        let started = Instant::now();
        let outcome = (step.run)(workspace);
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("check: {} ok ({seconds:.1} s)", step.name),
            Err(error) => {
                println!("check: {} FAILED ({seconds:.1} s): {error:#}", step.name);
                failed.push(step.name);
            }
        }
        if process::check_interrupted().is_err() {
            break;
        }
    }
    if failed.is_empty() {
        println!("check: all good");
        return ExitCode::SUCCESS;
    }
    println!("check: {} failed: {}", failed.len(), failed.join(", "));
    ExitCode::FAILURE
}

fn fmt(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    tools::apt::openssl_headers()?;
    tools::apt::make()?;
    process::run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn deny(workspace: &Workspace) -> Result<()> {
    let cargo_deny = tools::cargo_deny::ensure(workspace)?;
    let ask = |args: &[&str]| {
        let mut command = std::process::Command::new(&cargo_deny);
        command.current_dir(&workspace.root).args(["--log-level", "error", "--locked"]);
        process::run(command.args(args))
    };
    // Advisories are looked up elsewhere: their database needs the network, and a check must not.
    ask(&["check", "licenses", "sources"])?;
    // Bans are about what is shipped; tests bring a sibling service's old tree.
    ask(&["--exclude", "presence-tests", "--exclude-dev", "check", "bans"])
}
