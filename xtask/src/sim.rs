//! `cargo xtask sim`: the simulation with as many seeds as somebody has a night for, or one of them with its trace. What
//! a seed is and does is the test's (`presence/tests/simulation/`); the tier of the same name plays a fixed number.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// What is to be played.
#[derive(Debug, clap::Args)]
pub(crate) struct Wish {
    /// How many seeds
    #[arg(long, default_value_t = 10_000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1, conflicts_with = "seed")]
    from: u64,
    /// This one alone
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happened, line by line, before the verdict
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Build with optimisations: worth it from some ten thousand seeds on
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(workspace: &Workspace, wish: &Wish) -> Result<ExitCode> {
    let mut tests = workspace.cargo();
    tests.args(["test", "--quiet", "--workspace", "--test", "simulation"]);
    if wish.release {
        tests.arg("--release");
    }
    let (from, seeds) = wish.seed.map_or((wish.from, wish.seeds), |seed| (seed, 1));
    if seeds == 0 {
        bail!("no seed was asked for");
    }
    tests.env("PRESENCE_SIM_FROM", from.to_string()).env("PRESENCE_SIM_SEEDS", seeds.to_string());
    if wish.trace {
        tests.env("PRESENCE_SIM_TRACE", "1");
    }
    tests.args(["--", "--exact", "every_seed_holds", "--nocapture"]);
    let status = process::stream(&mut tests, None, |line| println!("{line}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
