//! `races`: every agent connects a second time, to any replica, while one replica is stopped (SIGSTOP) or killed. Of two
//! sockets one must survive, and whether the owner of the first is alive must not hold the second one up.

use super::fleet::{self, Fleet, NAME};
use crate::{
    histogram::Histogram,
    latency::Latency,
    process::Signal,
    report::Report,
    say,
    services::Services,
    swarm::{Phase, Plan, duration},
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A race each
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    #[arg(long, default_value_t = 1_000)]
    classrooms: usize,
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Over how long the second connects are spread
    #[arg(long, default_value = "10s", value_parser = duration)]
    over: Duration,
    /// What happens to the first replica when the races begin
    #[arg(long, value_enum, default_value_t = Fault::Stop)]
    fault: Fault,
    /// How long it is stopped
    #[arg(long, default_value = "15s", value_parser = duration)]
    stopped_for: Duration,
    /// How long afterwards the survivors are counted, at most
    #[arg(long, default_value = "30s", value_parser = duration)]
    settle: Duration,
    /// All begin with two sockets at once, too
    #[arg(long)]
    twice: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    /// SIGSTOP, and SIGCONT later
    Stop,
    /// SIGKILL
    Kill,
    None,
}

const COLUMNS: &[&str] = &["first socket's owner", "races", "second in p50 ms", "p99 ms", "max ms"];

/// The number that the directory gives the first replica.
const FIRST: u32 = 0;

pub(crate) async fn run(args: Args) -> Result<()> {
    if args.replicas < 2 {
        bail!("--replicas: two at least, one of which is stopped");
    }
    let services = Services::find().await?;
    let mut report = Report::new("races", COLUMNS, services.facts());
    let plan =
        Plan { twice: args.twice, race_over: args.over, ..Plan::of(NAME, args.agents, args.classrooms) };
    let mut fleet = Fleet::start(&services, args.replicas, plan).await?;
    fleet.settle().await?;
    if args.twice {
        survivors(&mut fleet, args.settle, "of those who began with two", &mut report).await;
        fleet.swarm.world.board().contests.clear();
    }
    disturb(&mut fleet, args.fault)?;
    fleet.swarm.world.go_on(Phase::Race);
    tokio::time::sleep(args.over.max(args.stopped_for)).await;
    if args.fault == Fault::Stop {
        fleet.replicas.first().context("a fleet has replicas")?.process.signal(Signal::CONT)?;
        say("the stopped replica goes on");
    }
    survivors(&mut fleet, args.settle, "in the end", &mut report).await;
    report_contests(&fleet, args.fault, &mut report);
    drop(fleet);
    fleet::finish(&services, report).await
}

/// Agents that connect from now on find the others only.
fn disturb(fleet: &mut Fleet, fault: Fault) -> Result<()> {
    let (first, others) = fleet.replicas.split_first().context("a fleet has replicas")?;
    let signal = match fault {
        Fault::Stop => Signal::STOP,
        Fault::Kill => Signal::KILL,
        Fault::None => return Ok(()),
    };
    first.process.signal(signal)?;
    fleet.publish_addresses(&others.iter().collect::<Vec<_>>());
    say("the first replica was sent its signal; the races begin");
    Ok(())
}

/// Waits until everybody has one socket, or for so long; says how many have none, one and two.
async fn survivors(fleet: &mut Fleet, within: Duration, when: &str, report: &mut Report) {
    let agents = fleet.swarm.world.plan.agents;
    let until = tokio::time::Instant::now() + within;
    loop {
        fleet.swarm.bury();
        let board = fleet.swarm.world.board().clone();
        let settled = board.connected == agents && board.pairs == 0;
        if settled || tokio::time::Instant::now() > until {
            report.result(&format!("agents with no socket {when}"), agents - board.connected);
            report.result(&format!("agents with one socket {when}"), board.connected - board.pairs);
            report.result(&format!("agents with two sockets {when}"), board.pairs);
            report.result(&format!("races that no server settled {when}"), board.counts.unsettled);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn report_contests(fleet: &Fleet, fault: Fault, report: &mut Report) {
    let board = fleet.swarm.world.board();
    let mut alive = Histogram::default();
    for contest in board.contests.iter().filter(|(owner, _)| **owner != FIRST || fault == Fault::None) {
        alive.merge(contest.1);
    }
    let dead = board.contests.get(&FIRST).filter(|_| fault != Fault::None);
    for (owner, contests) in [("alive", Some(&alive)), ("stopped or dead", dead)] {
        let latency = contests.and_then(Histogram::latency);
        let [p50, p99, max] = Latency::columns(latency);
        report.row([json!(owner), json!(latency.map_or(0, |latency| latency.count)), p50, p99, max]);
    }
    report.result("replaced", board.counts.replaced);
    report.result("lost", board.counts.lost);
    report.result("refused", json!(board.refused));
    report.result("connects_that_failed", board.counts.failed);
    report.result("unknown_connects", board.counts.unknown);
}
