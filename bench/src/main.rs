//! `presence-bench`: measures the server from outside and reports; it asserts nothing. `cargo xtask bench NAME` builds
//! release binaries, starts PostgreSQL and NATS and runs it. How to read the figures is in `docs/PERFORMANCE.md`.
//!
//! A benchmark is a file in `scenarios/` and a line in each of the two tables below. The server runs on CPU 0, this
//! process on CPU 1.
#![expect(clippy::print_stdout, reason = "it talks to a terminal")]

mod agent;
mod bare;
mod crowd;
mod frame;
mod handshake;
mod histogram;
mod http;
mod latency;
mod machine;
mod presence;
mod process;
mod publisher;
mod report;
mod scenarios;
mod services;
mod swarm;
mod tally;
mod tick;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use scenarios::{connect, fanout, idle};
use std::{sync::LazyLock, time::Instant};

/// Benchmarks of presence.
#[derive(Debug, Parser)]
#[command(name = "presence-bench", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Memory and CPU of agents that are present and silent
    Idle(idle::Args),
    /// Authenticated connects per second
    Connect(connect::Args),
    /// One event to a full classroom, next to a bare broadcaster
    Fanout(fanout::Args),
    /// Thousands of agents: the load of tests, benchmarks and users
    Swarm(Box<swarm::Args>),
    /// The bare broadcaster
    #[command(hide = true)]
    Bare {
        /// Write all the frames that wait for a socket at once
        #[arg(long)]
        coalesce: bool,
    },
}

fn main() -> Result<()> {
    let Cli { scenario } = Cli::parse();
    if let Scenario::Bare { coalesce } = scenario {
        // As presence has it: as many threads as it may use CPUs.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return runtime.context("start a runtime")?.block_on(bare::run(coalesce));
    }
    if let Scenario::Swarm(args) = scenario {
        // Not pinned: it is a client like others, and its servers may be anywhere.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.context("start a runtime")?.block_on(swarm::run(*args));
    }
    machine::pin_ourselves()?;
    say(&format!("the client runs on CPU {}", machine::allowed_cpus("self").unwrap_or_default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start a runtime")?.block_on(async {
        match scenario {
            Scenario::Idle(args) => idle::run(args).await,
            Scenario::Connect(args) => connect::run(args).await,
            Scenario::Fanout(args) => fanout::run(args).await,
            Scenario::Swarm(_) | Scenario::Bare { .. } => Ok(()), // are not measured, and were run above
        }
    })
}

/// A line of progress.
fn say(text: &str) {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    println!("[{:6.1} s] {text}", STARTED.elapsed().as_secs_f64());
}
