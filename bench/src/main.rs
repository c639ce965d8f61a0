//! `presence-bench`: measures the server from outside and reports; it asserts nothing. `cargo xtask bench NAME` builds
//! release binaries, starts PostgreSQL and NATS and runs it. How to read the figures is in `docs/PERFORMANCE.md`.
//!
//! A benchmark is a file in `scenarios/` and a line in each of the two tables below. The server runs on CPU 0, this
//! process on CPU 1. `swarm`, `witness` and `check` are tools for tests and users: they run wherever they are started.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a terminal")]

mod agent;
mod app;
mod bare;
mod check;
mod crowd;
mod frame;
mod handshake;
mod histogram;
mod http;
mod latency;
mod listening;
mod machine;
mod mint;
mod presence;
mod process;
mod publisher;
mod report;
mod scenarios;
mod services;
mod socketio;
mod speaker;
mod swarm;
mod tally;
mod tick;
mod witness;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use scenarios::{
    apps_fanout, apps_idle, apps_join, connect, fanout, idle, kill, races, rolling, slow, storm,
};
use std::{process::ExitCode, sync::LazyLock, time::Instant};

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
    /// Memory of classroom apps that are connected, or in a lesson, and silent; next to other Socket.IO servers
    AppsIdle(apps_idle::Args),
    /// One event to a full lesson, next to other Socket.IO servers
    AppsFanout(apps_fanout::Args),
    /// `join_lesson` per second, next to other Socket.IO servers
    AppsJoin(apps_join::Args),
    /// Thousands of agents: the load of tests, benchmarks and users
    Swarm(Box<swarm::Args>),
    /// Write what the stream has of a swarm's classrooms into a history
    Witness(witness::Args),
    /// Judge histories
    Check(check::Args),
    /// Replace every replica under load, one after the other
    Rolling(rolling::Args),
    /// Kill one of several replicas
    Kill(kill::Args),
    /// Every agent connects a second time, while one replica is stopped or killed
    Races(races::Args),
    /// Everybody connects at once
    Storm(storm::Args),
    /// Some do not read: what the others notice of it
    Slow(slow::Args),
    /// The bare broadcaster
    #[command(hide = true)]
    Bare {
        /// Write all the frames that wait for a socket at once
        #[arg(long)]
        coalesce: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().scenario) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(scenario: Scenario) -> Result<()> {
    match scenario {
        // As presence has it: as many threads as it may use CPUs.
        Scenario::Bare { coalesce } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.context("start a runtime")?.block_on(bare::run(coalesce))
        }
        // Clients like others: where they run is their user's business.
        Scenario::Swarm(args) => one_thread()?.block_on(swarm::run(*args)),
        Scenario::Witness(args) => one_thread()?.block_on(witness::run(args)),
        Scenario::Check(args) => check::run(&args),
        measured => {
            machine::pin_ourselves()?;
            say(&format!("the client runs on CPU {}", machine::allowed_cpus("self").unwrap_or_default()));
            one_thread()?.block_on(measure(measured))
        }
    }
}

async fn measure(scenario: Scenario) -> Result<()> {
    match scenario {
        Scenario::Idle(args) => idle::run(args).await,
        Scenario::Connect(args) => connect::run(args).await,
        Scenario::Fanout(args) => fanout::run(args).await,
        Scenario::AppsIdle(args) => apps_idle::run(args).await,
        Scenario::AppsFanout(args) => apps_fanout::run(args).await,
        Scenario::AppsJoin(args) => apps_join::run(args).await,
        Scenario::Rolling(args) => rolling::run(args).await,
        Scenario::Kill(args) => kill::run(args).await,
        Scenario::Races(args) => races::run(args).await,
        Scenario::Storm(args) => storm::run(args).await,
        Scenario::Slow(args) => slow::run(args).await,
        Scenario::Swarm(_) | Scenario::Witness(_) | Scenario::Check(_) | Scenario::Bare { .. } => Ok(()), // are run above
    }
}

fn one_thread() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")
}

/// A line of progress.
fn say(text: &str) {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    println!("[{:6.1} s] {text}", STARTED.elapsed().as_secs_f64());
}
