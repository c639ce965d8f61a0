//! `storm`: everybody connects at once, to one replica and to three, and once more after all have left. How long until
//! all are in, what failed on the way, what the database was asked, and what memory it took and gave back.

use super::{
    fleet::{self, Fleet, NAME},
    number,
};
use crate::{latency::Latency, presence::Presence, report::Report, say, services::Services, swarm::Plan};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 15_000)]
    agents: usize,
    #[arg(long, default_value_t = 1_500)]
    classrooms: usize,
    /// How many replicas they connect to: a row each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3])]
    replicas: Vec<usize>,
}

/// Memory is looked at so often, and has come to rest when it changed by no more than this for so long.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const STEADY_MIB: f64 = 1.0;
const STEADY_FOR: Duration = Duration::from_secs(10);
const REST_WITHIN: Duration = Duration::from_mins(1);
const ENTER_WITHIN: Duration = Duration::from_mins(5);
/// The server looks at its store's count of statements once a second.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

/// A server that has never had a guest is smaller than one that has: what a storm leaves behind is seen by the second.
const ROUNDS: u32 = 2;

const COLUMNS: &[&str] = &[
    "replicas",
    "storm",
    "agents",
    "all in s",
    "connects/s",
    "connect p50 ms",
    "connect p99 ms",
    "connect max ms",
    "refused",
    "failed",
    "unknown",
    "retries",
    "round trips/connect",
    "RSS before MiB",
    "RSS peak MiB",
    "RSS in MiB",
    "RSS after MiB",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    let services = Services::find().await?;
    let mut report = Report::new("storm", COLUMNS, services.facts());
    for replicas in args.replicas {
        let mut servers = Presence::start_many(&services, replicas).await?;
        for round in 1..=ROUNDS {
            servers = storm(&services, (servers, round), (args.agents, args.classrooms), &mut report).await?;
        }
    }
    fleet::finish(&services, report).await
}

async fn storm(
    services: &Services,
    (servers, round): (Vec<Presence>, u32),
    (agents, classrooms): (usize, usize),
    report: &mut Report,
) -> Result<Vec<Presence>> {
    let replicas = servers.len();
    let (before, asked_before) = (resident(&servers)?, statements(&servers).await?);
    let plan = Plan {
        in_flight: agents,
        answer_within: Duration::from_mins(1),
        ..Plan::of(NAME, agents, classrooms)
    };
    let mut fleet = Fleet::on(services, servers, plan).await?;
    let (started, mut peak) = (Instant::now(), before);
    while !fleet.swarm.enter(LOOK_EVERY).await && started.elapsed() < ENTER_WITHIN {
        peak = peak.max(resident(&fleet.replicas)?);
    }
    let (took, all_in) = (started.elapsed().as_secs_f64(), fleet.swarm.all_in());
    say(&format!("{agents} agents: {} after {took:.1} s", if all_in { "all in" } else { "NOT all in" }));
    tokio::time::sleep(COUNTED_WITHIN).await;
    let asked_after = statements(&fleet.replicas).await?;
    let during = resident(&fleet.replicas)?;
    peak = peak.max(during);
    fleet.end().await?;
    let rest = at_rest(&fleet.replicas).await?;
    let board = fleet.swarm.world.board();
    let counts = board.counts;
    let [p50, p99, max] = Latency::columns(board.entering.latency());
    let trips = asked_before.zip(asked_after).map(|(before, after)| (after - before) / number(agents));
    let retries = (counts.asked + counts.failed).saturating_sub(agents as u64);
    report.row([
        json!(replicas),
        json!(round),
        json!(board.been_in),
        if all_in { json!(took) } else { Value::Null },
        json!(number(board.been_in) / took),
        p50,
        p99,
        max,
        json!(counts.refused),
        json!(counts.failed),
        json!(counts.unknown),
        json!(retries),
        json!(trips),
        json!(before),
        json!(peak),
        json!(during),
        json!(rest),
    ]);
    report.result(&format!("first_failure_{replicas}_{round}"), board.first_failure.clone());
    Ok(fleet.replicas)
}

/// Of all replicas together, in MiB.
fn resident(replicas: &[Presence]) -> Result<f64> {
    let mut kib = 0;
    for replica in replicas {
        kib += replica.process.memory()?.resident;
    }
    Ok(number(usize::try_from(kib).unwrap_or(usize::MAX)) / 1024.0)
}

/// None where they are not counted.
async fn statements(replicas: &[Presence]) -> Result<Option<f64>> {
    let mut sum = Some(0.0);
    for replica in replicas {
        sum = sum.zip(replica.statements().await?).map(|(sum, more)| sum + more);
    }
    Ok(sum)
}

/// Memory once it does not change any more, or after a minute.
async fn at_rest(replicas: &[Presence]) -> Result<f64> {
    let started = Instant::now();
    let (mut rest, mut since) = (resident(replicas)?, Instant::now());
    while since.elapsed() < STEADY_FOR && started.elapsed() < REST_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = resident(replicas)?;
        if (now - rest).abs() > STEADY_MIB {
            (rest, since) = (now, Instant::now());
        }
    }
    resident(replicas)
}
