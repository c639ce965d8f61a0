//! `cargo xtask test`: the tiers of tests, in order, and their sum. The table below is the list. Owns what a tier runs
//! and how it is counted; what tests need is `servers.rs`'s.
//!
//! All tiers select from `--workspace`: selecting packages would change the features of shared dependencies, and
//! build them again for each tier.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::libtest::{Counter, Tally};
use crate::servers::Servers;
use crate::workspace::Workspace;
use crate::{autobahn, cluster_tier, process, tools};

struct Tier {
    name: &'static str,
    run: fn(&mut Run<'_>) -> Result<Tally>,
}

const TIERS: &[Tier] = &[
    // Everything that needs nothing: all libraries and binaries, and test targets that are no tier themselves.
    Tier { name: "unit", run: unit },
    // Several replicas of the engine in virtual time, over a world that seeds make fail; `sim.rs` plays more of them.
    Tier { name: "simulation", run: |run| run.simulation() },
    // One suite per port against every adapter, with real PostgreSQL and NATS.
    Tier { name: "contracts", run: |run| run.target("contracts") },
    // Real `presence` processes, and real clients of other languages.
    Tier { name: "service", run: |run| run.processes("service", &[], tell_service) },
    // Three of them, and faults: in a run of all tiers those that do not take long, named the whole matrix.
    Tier { name: "chaos", run: |run| run.processes("chaos", &[":short:", "book::"], |_, _| ()) },
    // The WebSocket conformance suite.
    Tier { name: "autobahn", run: |run| autobahn::run(run.workspace, run.filter) },
    // A real Kubernetes, the operator and its chart.
    Tier { name: "cluster", run: |run| Ok(cluster_tier::run(run.workspace, run.filter)) },
    // To come: browser (the real SDK).
];

/// For the tests of one tier, without building them.
const LIMIT: Duration = Duration::from_mins(40);

/// How many tests of the service tier run at a time.
const SERVICE_THREADS: &str = "4";

/// Tells tests of more than the servers.
type Tell = fn(&Workspace, &mut Command);

/// What the tiers of one run share.
struct Run<'a> {
    workspace: &'a Workspace,
    filter: &'a [String],
    /// The tiers were named, so they are run whole.
    named: bool,
    /// Started by the first tier that asks.
    servers: Option<Result<Servers, String>>,
}

struct Outcome {
    name: &'static str,
    tally: Tally,
    seconds: f64,
}

pub(crate) fn run(workspace: &Workspace, only: &[String], filter: &[String]) -> Result<ExitCode> {
    let chosen = choose(only)?;
    tools::apt::openssl_headers()?;
    tools::apt::make()?;
    let mut run = Run { workspace, filter, named: !only.is_empty(), servers: None };
    let mut outcomes = Vec::new();
    for tier in chosen {
        println!("test: {} …", tier.name);
        let started = Instant::now();
        let tally = settle(tier.name, (tier.run)(&mut run));
        outcomes.push(Outcome { name: tier.name, tally, seconds: started.elapsed().as_secs_f64() });
        if process::check_interrupted().is_err() {
            break;
        }
    }
    if outcomes.iter().any(|outcome| outcome.tally.failed > 0) {
        run.keep_logs();
    }
    drop(run); // stops the servers, which may have something to say: nothing may follow the last line
    Ok(report(&outcomes))
}

fn choose(only: &[String]) -> Result<Vec<&'static Tier>> {
    let known: Vec<&str> = TIERS.iter().map(|tier| tier.name).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no tier `{unknown}`; there are {}", known.join(", "));
    }
    Ok(TIERS.iter().filter(|tier| only.is_empty() || only.iter().any(|name| name == tier.name)).collect())
}

/// What could not run, and what ran nothing, failed.
pub(crate) fn settle(name: &str, outcome: Result<Tally>) -> Tally {
    match outcome {
        Ok(tally) if tally == Tally::default() => {
            println!("test: {name} ran no test at all, which counts as one failed");
            Tally { passed: 0, failed: 1 }
        }
        Ok(tally) => tally,
        Err(error) => {
            println!("test: {name} could not run, which counts as one failed: {error:#}");
            Tally { passed: 0, failed: 1 }
        }
    }
}

fn report(outcomes: &[Outcome]) -> ExitCode {
    let mut sum = Tally::default();
    println!("\n{:<12} {:>7} {:>7} {:>8}", "tier", "passed", "failed", "seconds");
    for Outcome { name, tally, seconds } in outcomes {
        println!("{name:<12} {:>7} {:>7} {seconds:>8.1}", tally.passed, tally.failed);
        sum.add(*tally);
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Run<'_> {
    fn servers(&mut self) -> Result<&Servers> {
        let workspace = self.workspace;
        let servers = self
            .servers
            .get_or_insert_with(|| Servers::start(workspace).map_err(|error| format!("{error:#}")))
            .as_ref();
        servers.map_err(|error| anyhow!("{error}"))
    }

    fn keep_logs(&self) {
        let Some(Ok(servers)) = &self.servers else { return };
        let to = self.workspace.target().join("test-logs");
        match servers.keep_logs(&to) {
            Ok(()) => println!("test: the servers' logs are in {}", to.display()),
            Err(error) => println!("test: the servers' logs are lost: {error:#}"),
        }
    }

    /// A target whose tests start `presence` processes; where tiers were not named, only what `short` says of it.
    fn processes(&mut self, name: &str, short: &[&str], tell: Tell) -> Result<Tally> {
        let mut build = self.workspace.cargo();
        let bins = ["--bin", "presence", "--bin", "presence-reference"];
        process::run(build.args(["build", "--quiet", "--workspace"]).args(bins))?;
        let short: Vec<String> = short.iter().map(|&part| part.to_owned()).collect();
        let filter = if self.named { self.filter.to_vec() } else { short };
        self.select(name, &filter, tell)
    }

    /// An integration test target of that name, wherever in the workspace, with the servers.
    fn target(&mut self, name: &str) -> Result<Tally> {
        self.select(name, self.filter, |_, _| ())
    }

    fn select(&mut self, name: &str, filter: &[String], tell: Tell) -> Result<Tally> {
        let select = ["--test".to_owned(), name.to_owned()];
        self.build(&select)?;
        let mut tests = self.cargo_test(&select);
        self.servers()?.tell(&mut tests);
        tell(self.workspace, &mut tests);
        count(tests, filter)
    }

    /// It needs no servers.
    fn simulation(&mut self) -> Result<Tally> {
        let select = ["--test".to_owned(), "simulation".to_owned()];
        self.build(&select)?;
        count(self.cargo_test(&select), self.filter)
    }

    fn build(&self, select: &[String]) -> Result<()> {
        process::run(self.cargo_test(select).arg("--no-run")).context("build the tests")
    }

    fn cargo_test(&self, select: &[String]) -> Command {
        let mut command = self.workspace.cargo();
        command.args(["test", "--quiet", "--workspace", "--no-fail-fast"]).args(select);
        command
    }
}

fn unit(run: &mut Run<'_>) -> Result<Tally> {
    let mut select = vec!["--lib".to_owned(), "--bins".to_owned()];
    for target in run.workspace.test_targets() {
        if TIERS.iter().all(|tier| tier.name != target) {
            select.extend(["--test".to_owned(), target]);
        }
    }
    run.build(&select)?;
    let mut tally = count(run.cargo_test(&select), run.filter)?;
    tally.add(count(run.cargo_test(&["--doc".to_owned()]), run.filter)?);
    Ok(tally)
}

/// These tests wait for timers of seconds more than they work, so more of them run at a time than there are cores.
fn tell_service(workspace: &Workspace, tests: &mut Command) {
    tools::tell_of_languages(workspace, tests);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", SERVICE_THREADS);
    }
}

/// Runs built tests, showing what they print.
pub(crate) fn count(mut tests: Command, filter: &[String]) -> Result<Tally> {
    let mut counter = Counter::default();
    let status = process::stream(tests.arg("--").args(filter), Some(LIMIT), |line| {
        println!("{line}");
        counter.line(line);
    })?;
    if counter.ignored > 0 {
        println!("test: {} ignored, which counts as failed", counter.ignored);
    }
    Ok(counter.finish(status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_chosen_in_the_order_of_the_table() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            choose(&only).unwrap().iter().map(|tier| tier.name).collect()
        };
        assert_eq!(
            names(&[]),
            ["unit", "simulation", "contracts", "service", "chaos", "autobahn", "cluster"]
        );
        assert_eq!(names(&["service", "unit"]), ["unit", "service"]);
        assert!(choose(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn nothing_run_and_nothing_runnable_are_failures() {
        let one = Tally { passed: 0, failed: 1 };
        assert_eq!(settle("x", Ok(Tally::default())), one);
        assert_eq!(settle("x", Err(anyhow!("no server"))), one);
        let fine = Tally { passed: 3, failed: 0 };
        assert_eq!(settle("x", Ok(fine)), fine);
    }
}
