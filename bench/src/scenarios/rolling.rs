//! `rolling`: every replica is replaced, one after the other, under load: its successor first, then SIGTERM, then the
//! wait for its end. Nobody should notice: nothing lost, doubled or invented, nobody without a socket, no event of
//! presence's own.

use super::fleet::{self, Fleet, NAME};
use crate::{
    histogram::Histogram,
    latency::Latency,
    presence::Presence,
    process::Signal,
    report::Report,
    say,
    services::Services,
    swarm::{Continuity, Phase, Plan, compare, duration},
};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    #[arg(long, default_value_t = 1_000)]
    classrooms: usize,
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    #[arg(long, default_value_t = 100.0)]
    events_per_second: f64,
    #[arg(long, default_value_t = 200)]
    event_bytes: usize,
    /// Before the first, after the last, and between two drains
    #[arg(long, default_value = "5s", value_parser = duration)]
    pause: Duration,
    /// How long a drain may take
    #[arg(long, default_value = "5m", value_parser = duration)]
    drain_within: Duration,
}

const COLUMNS: &[&str] = &[
    "replica",
    "agents told",
    "moved",
    "most moves/s",
    "share of agents/s %",
    "closed before in",
    "lost",
    "gap p50 ms",
    "gap p99 ms",
    "gap max ms",
    "drain s",
    "exit",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    let services = Services::find().await?;
    let mut report = Report::new("rolling", COLUMNS, services.facts());
    let plan = Plan { diaries: true, ..Plan::of(NAME, args.agents, args.classrooms) };
    let mut fleet = Fleet::start(&services, args.replicas, plan).await?;
    let before = fleet.settle().await?;
    let sibling = fleet.speak(args.events_per_second, args.event_bytes).await?;
    fleet.swarm.world.go_on(Phase::Wild);
    for number in 0..args.replicas {
        tokio::time::sleep(args.pause).await;
        replace(&mut fleet, &args, number, &mut report).await?;
    }
    tokio::time::sleep(args.pause).await;
    if let Some(sibling) = sibling {
        sibling.fall_silent().await;
    }
    conclude(&mut fleet, before, &mut report).await?;
    drop(fleet);
    fleet::finish(&services, report).await
}

/// What the board says at one moment.
struct Look {
    told: u64,
    moved: u64,
    broke: u64,
    lost: u64,
    second: usize,
}

fn look(fleet: &Fleet) -> Look {
    let world = &fleet.swarm.world;
    let counts = world.board().counts;
    let second = usize::try_from(world.clock.millis() / 1000).unwrap_or(usize::MAX);
    Look {
        told: counts.told,
        moved: counts.moved,
        broke: counts.broke_before_make,
        lost: counts.lost,
        second,
    }
}

/// The oldest replica goes, and a new one comes.
async fn replace(fleet: &mut Fleet, args: &Args, number: usize, report: &mut Report) -> Result<()> {
    let successor = fleet.replicas.first().context("a fleet has replicas")?.start_beside().await?;
    let mut old: Presence = fleet.replicas.remove(0);
    fleet.replicas.push(successor);
    let before = look(fleet);
    std::mem::take(&mut fleet.swarm.world.board().gaps);
    say(&format!("replica {number} is to end"));
    let started = Instant::now();
    old.process.signal(Signal::TERM)?;
    // As a Service does once a replica is not ready any more.
    fleet.publish_addresses(&fleet.replicas.iter().collect::<Vec<_>>());
    let status = old.process.ended(args.drain_within).await?;
    let took = started.elapsed().as_secs_f64();
    // Whoever was on its way is in by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = look(fleet);
    let mut board = fleet.swarm.world.board();
    let moves = board.moves.get(before.second..).unwrap_or_default();
    let most = moves.iter().copied().max().unwrap_or(0);
    let gaps: Histogram = std::mem::take(&mut board.gaps);
    drop(board);
    let [p50, p99, max] = Latency::columns(gaps.latency());
    report.row([
        json!(number),
        json!(after.told - before.told),
        json!(after.moved - before.moved),
        json!(most),
        json!(f64::from(most) / super::number(args.agents) * 100.0),
        json!(after.broke - before.broke),
        json!(after.lost - before.lost),
        p50,
        p99,
        max,
        json!(took),
        json!(status.to_string()),
    ]);
    Ok(())
}

async fn conclude(fleet: &mut Fleet, before: u64, report: &mut Report) -> Result<()> {
    let quiet = fleet.end().await?;
    let events = fleet.published(0).await?;
    let Continuity { expected, lost, invented } = compare(fleet.swarm.diaries(), &fleet::by_room(&events));
    let own = events.iter().filter(|event| before < event.seq && event.seq <= quiet);
    report.result("deliveries_expected", expected);
    report.result("deliveries_lost", lost);
    report.result("deliveries_invented", invented);
    report.result("own_events_of_the_drains", own.filter(|event| fleet::ours(event).is_some()).count());
    let board = fleet.swarm.world.board();
    report.result("deliveries_doubled", board.counts.disordered);
    report.result("heard_on_both_sockets", board.counts.again);
    report.result("resumed", board.counts.resumed);
    report.result("not_resumed", board.counts.not_resumed);
    report.result("published", board.counts.published);
    report.result("unacknowledged", board.counts.unacknowledged);
    report.result("first_failure", board.first_failure.clone());
    let latency = Latency::columns(board.all_latencies().latency());
    report.result("latency_ms_p50_p99_max", json!(latency));
    Ok(())
}
