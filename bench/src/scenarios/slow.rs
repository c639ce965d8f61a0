//! `slow`: some agents stop reading. What the others notice of it: the latency of their events, without and with them.

use super::fleet::{self, Fleet, NAME};
use crate::{
    latency::Latency,
    presence::Presence,
    report::Report,
    say,
    services::Services,
    swarm::{Mischief, Phase, Plan, duration},
};
use anyhow::Result;
use presence_core::close::Reason;
use serde_json::json;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// So few that who does not read is sent enough to be noticed
    #[arg(long, default_value_t = 100)]
    classrooms: usize,
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Fraction of agents that stop reading
    #[arg(long, default_value_t = 0.01)]
    stop_reading: f64,
    #[arg(long, default_value_t = 100.0)]
    events_per_second: f64,
    #[arg(long, default_value_t = 1_000)]
    event_bytes: usize,
    /// How long events are sent, in each of the two rows
    #[arg(long, default_value = "60s", value_parser = duration)]
    lasts: Duration,
}

const COLUMNS: &[&str] = &[
    "do not read",
    "events/s",
    "deliveries",
    "p50 ms",
    "p99 ms",
    "max ms",
    "closed as slow",
    "closed without pong",
    "RSS MiB",
    "server CPU %",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    let services = Services::find().await?;
    let mut report = Report::new("slow", COLUMNS, services.facts());
    for fraction in [0.0, args.stop_reading.clamp(0.0, 1.0)] {
        measure(&services, &args, fraction, &mut report).await?;
    }
    fleet::finish(&services, report).await
}

async fn measure(services: &Services, args: &Args, fraction: f64, report: &mut Report) -> Result<()> {
    // From their entry to the end, whatever comes before it.
    let stall = args.lasts + Duration::from_mins(10);
    let mischief = Mischief { stop_reading: fraction, stall, ..Mischief::default() };
    let plan = Plan { mischief, ..Plan::of(NAME, args.agents, args.classrooms) };
    // Nobody moves, so nobody has two sockets.
    let replicas = Presence::start_many(services, args.replicas).await?;
    let mut fleet = Fleet::on(services, replicas, plan).await?;
    fleet.settle().await?;
    let heard = fleet.swarm.world.board().counts.heard;
    let cpu = cpu_of(&fleet)?;
    fleet.swarm.world.go_on(Phase::Wild);
    let sibling = fleet.speak(args.events_per_second, args.event_bytes).await?;
    tokio::time::sleep(args.lasts).await;
    if let Some(sibling) = sibling {
        sibling.fall_silent().await;
    }
    let busy = (cpu_of(&fleet)? - cpu) / args.lasts.as_secs_f64() * 100.0;
    let (mut memory, mut slow, mut silent) = (0, 0.0, 0.0);
    for replica in &fleet.replicas {
        memory += replica.process.memory()?.resident / 1024;
        slow += replica.closes(Reason::SlowConsumer).await?;
        silent += replica.closes(Reason::PongTimedOut).await?;
    }
    let board = fleet.swarm.world.board().clone();
    say(&format!("{} agents do not read", board.counts.stalls));
    let [p50, p99, max] = Latency::columns(board.all_latencies().latency());
    report.row([
        json!(board.counts.stalls),
        json!(args.events_per_second),
        json!(board.counts.heard - heard),
        p50,
        p99,
        max,
        json!(slow),
        json!(silent),
        json!(memory),
        json!(busy),
    ]);
    Ok(())
}

/// Of all replicas together.
fn cpu_of(fleet: &Fleet) -> Result<f64> {
    fleet.replicas.iter().map(|replica| replica.process.cpu()).sum()
}
