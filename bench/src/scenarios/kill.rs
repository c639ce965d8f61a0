//! `kill`: one of several replicas dies (SIGKILL). Who comes back has never been away: no event about him. Who does not
//! is said to have left, once, and his stay ends when his replica was last heard of.

use super::{
    fleet::{self, Fleet, NAME},
    number,
};
use crate::{
    latency::Latency,
    presence::Presence,
    process::Signal,
    report::Report,
    say,
    services::Services,
    swarm::{Mischief, Phase, Plan, Published, duration},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 5_000)]
    agents: usize,
    #[arg(long, default_value_t = 500)]
    classrooms: usize,
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Fraction of agents that do not come back
    #[arg(long, default_value_t = 0.2)]
    no_return: f64,
    /// Events per second meanwhile
    #[arg(long, default_value_t = 0.0)]
    events_per_second: f64,
    /// How long it may take until everybody else is back, and all who are gone are said to have left
    #[arg(long, default_value = "60s", value_parser = duration)]
    within: Duration,
}

const COLUMNS: &[&str] = &[
    "agents",
    "lost their replica",
    "back",
    "gone",
    "gap p50 ms",
    "gap p99 ms",
    "gap max ms",
    "events about those who are back",
    "left, once each",
    "left p50 s",
    "left p99 s",
    "left max s",
    "stay ended before the kill p50 s",
    "max s",
    "after it",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    let services = Services::find().await?;
    let mut report = Report::new("kill", COLUMNS, services.facts());
    let mischief = Mischief { no_return: args.no_return.clamp(0.0, 1.0), ..Mischief::default() };
    let plan = Plan { mischief, diaries: true, ..Plan::of(NAME, args.agents, args.classrooms) };
    let mut fleet = Fleet::start(&services, args.replicas, plan).await?;
    let before = fleet.settle().await?;
    let sibling = fleet.speak(args.events_per_second, 200).await?;
    fleet.swarm.world.go_on(Phase::Wild);
    let killed_at = kill_one(&mut fleet).await?;
    let gone = wait_for_the_end(&mut fleet, before, args.within).await?;
    if let Some(sibling) = sibling {
        sibling.fall_silent().await;
    }
    let events = fleet.published(before).await?;
    let ends = ends_of_stays(&fleet, &gone, killed_at).await?;
    Aftermath { events, gone, killed_at, ends }.report(&fleet, &mut report);
    drop(fleet);
    fleet::finish(&services, report).await
}

/// Returns when, in microseconds of the wall.
async fn kill_one(fleet: &mut Fleet) -> Result<i64> {
    let mut victim: Presence = fleet.replicas.remove(0);
    std::mem::take(&mut fleet.swarm.world.board().gaps);
    let at = fleet.swarm.world.clock.now();
    victim.process.signal(Signal::KILL)?;
    fleet.publish_addresses(&fleet.replicas.iter().collect::<Vec<_>>());
    victim.process.ended(Duration::from_secs(10)).await?;
    say("a replica is dead");
    Ok(at)
}

/// Who is gone, by agent id, with his classroom: known once his life is over.
async fn wait_for_the_end(
    fleet: &mut Fleet,
    before: u64,
    within: Duration,
) -> Result<BTreeMap<String, String>> {
    let until = tokio::time::Instant::now() + within;
    let agents = fleet.swarm.world.plan.agents;
    loop {
        fleet.swarm.bury();
        let gone: BTreeMap<String, String> = fleet
            .swarm
            .diaries()
            .iter()
            .map(|diary| (diary.agent_id.clone(), diary.classroom.clone()))
            .collect();
        let back = fleet.swarm.world.board().connected + gone.len() >= agents;
        let events = fleet.published(before).await?;
        let left: BTreeSet<&str> = lefts(&events).map(|(agent, _)| agent).collect();
        if back && gone.keys().all(|agent| left.contains(agent.as_str())) {
            // Whoever is said to have left twice is said so soon.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return Ok(gone);
        }
        if tokio::time::Instant::now() > until {
            say(&format!("not everything came to its end within {} s", within.as_secs()));
            return Ok(gone);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn lefts(events: &[Published]) -> impl Iterator<Item = (&str, i64)> {
    events.iter().filter_map(|event| {
        let (agent, operation) = fleet::ours(event)?;
        (operation == "left").then_some((agent, event.at))
    })
}

/// By how many microseconds each stay of theirs ended before the kill; negative: after it.
async fn ends_of_stays(fleet: &Fleet, gone: &BTreeMap<String, String>, killed_at: i64) -> Result<Vec<i64>> {
    let replica = fleet.replicas.first().context("one replica is left at least")?;
    let rooms: BTreeSet<&String> = gone.values().collect();
    let mut ends = vec![];
    for room in rooms {
        for stay in replica.attendance(room).await? {
            let Some(left_at) = stay.left_at.filter(|_| gone.contains_key(&stay.agent_id)) else { continue };
            let left_at: jiff::Timestamp = left_at.parse().context("a stay's end is a time")?;
            ends.push(killed_at - left_at.as_microsecond());
        }
    }
    ends.sort_unstable();
    Ok(ends)
}

/// What a kill came to.
struct Aftermath {
    /// Since before it.
    events: Vec<Published>,
    /// Who did not come back, and his classroom.
    gone: BTreeMap<String, String>,
    /// In microseconds of the wall.
    killed_at: i64,
    /// By how much the stays of the gone ended before it, ascending.
    ends: Vec<i64>,
}

impl Aftermath {
    fn report(&self, fleet: &Fleet, report: &mut Report) {
        let Self { events, gone, killed_at, ends } = self;
        let board = fleet.swarm.world.board();
        let about_others =
            events.iter().filter_map(fleet::ours).filter(|(agent, _)| !gone.contains_key(*agent)).count();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut delays = vec![];
        for (agent, at) in lefts(events).filter(|(agent, _)| gone.contains_key(*agent)) {
            *times.entry(agent).or_default() += 1;
            delays.push(u32::try_from((at - *killed_at).max(0)).unwrap_or(u32::MAX));
        }
        let seconds = |cell: Value| cell.as_f64().map_or(Value::Null, |millis| json!(millis / 1000.0));
        let [left_p50, left_p99, left_max] = Latency::columns(Latency::of(delays)).map(seconds);
        let [gap_p50, gap_p99, gap_max] = Latency::columns(board.gaps.latency());
        let early = |at: usize| ends.get(at).map_or(Value::Null, |micros| json!(seconds_of(*micros)));
        report.row([
            json!(fleet.swarm.world.plan.agents),
            json!(board.counts.lost),
            json!(board.counts.lost.saturating_sub(gone.len() as u64)),
            json!(gone.len()),
            gap_p50,
            gap_p99,
            gap_max,
            json!(about_others),
            json!(times.values().filter(|times| **times == 1).count()),
            left_p50,
            left_p99,
            left_max,
            early(ends.len() / 2),
            early(ends.len().saturating_sub(1)),
            json!(ends.iter().filter(|micros| **micros < 0).count()),
        ]);
        report.result("events_caused_by_returners", about_others);
        report.result("left_more_than_once", times.values().filter(|times| **times > 1).count());
        report.result("gone_and_not_said_to_have_left", gone.len() - times.len());
        report.result("gone_without_an_ended_stay", gone.len().saturating_sub(ends.len()));
        report.result("resumed", board.counts.resumed);
        report.result("not_resumed", board.counts.not_resumed);
        report.result("connects_that_failed", board.counts.failed);
        report.result("unknown_connects", board.counts.unknown);
        report.result(
            "returned_share",
            1.0 - number(gone.len()) / number(usize::try_from(board.counts.lost).unwrap_or(1).max(1)),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "minutes at most")]
fn seconds_of(micros: i64) -> f64 {
    micros as f64 / 1e6
}
