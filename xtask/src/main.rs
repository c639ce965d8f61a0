//! `cargo xtask`: the only build tool of this workspace.
//!
//! This file owns the command line and nothing else; each subcommand has its own file. `test` is special in
//! one way: whatever happens, its last line on stdout is `N passed, N failed`.
//!
//! Where to read next: `check.rs` (what must hold before a merge), `tiers.rs` (what `test` runs),
//! `servers.rs` (PostgreSQL, NATS and Redis for a run).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a build tool talks to a terminal")]

mod autobahn;
mod bench;
mod charts;
mod check;
mod cluster;
mod cluster_tier;
mod codegen;
mod house;
mod image;
mod libtest;
mod process;
mod servers;
mod sim;
mod tiers;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The build tool of presence")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Format, house rules, clippy, licences, generated files: what must hold before a merge
    Check,
    /// Write the committed generated files anew
    Codegen {
        /// Write nothing; fail when a committed file is not what the code says
        #[arg(long)]
        check: bool,
    },
    /// Have kube-score, checkov and kubernetes-validate judge the chart, the examples, and what the operator makes of them
    Lint,
    /// Run the tiers of tests; the last line is `N passed, N failed`
    Test {
        /// Only this tier (may be given again)
        #[arg(long = "tier", value_name = "NAME")]
        tiers: Vec<String>,
        /// Handed to the test binaries (to autobahn: its case patterns)
        #[arg(last = true, requires = "tiers")]
        filter: Vec<String>,
    },
    /// Start PostgreSQL, NATS and Redis; print their addresses, or run a command that sees them
    Servers {
        /// The command; without one, the servers run until Ctrl-C
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Make container images, as OCI archives: the binary, its libraries, and nothing else
    Image(image::Wish),
    /// Play seeds of the simulation: many of them, or one with its trace
    Sim(sim::Wish),
    /// A real Kubernetes on this machine: make it, use it, break it, end it
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Presence on a Kubernetes of this machine, with operator, PostgreSQL, NATS and Redis; run again, it brings what changed
    Up(up::Wish),
    /// End what `up` made, and leave nothing
    Down(up::Which),
    /// Run a benchmark on release binaries
    Bench {
        /// Which one: `operator`, or one of presence-bench's; without a name they are listed
        name: Option<String>,
        /// Handed to it
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    process::watch_signals()?;
    let workspace = Workspace::find()?;
    match args.verb {
        Verb::Check => Ok(check::run(&workspace)),
        Verb::Codegen { check } => codegen::run(&workspace, check).map(|()| ExitCode::SUCCESS),
        Verb::Lint => charts::run_lint(&workspace),
        Verb::Test { tiers, filter } => tiers::run(&workspace, &tiers, &filter),
        Verb::Servers { command } => servers::run(&workspace, &command),
        Verb::Image(wish) => image::run(&workspace, &wish),
        Verb::Sim(wish) => sim::run(&workspace, &wish),
        Verb::Cluster(verb) => cluster::run(&workspace, verb),
        Verb::Up(wish) => up::up(&workspace, &wish),
        Verb::Down(which) => up::down(&which),
        Verb::Bench { name, rest } => bench::run(&workspace, name.as_deref(), &rest),
    }
}
