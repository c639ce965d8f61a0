//! `connect`: how fast agents come in: handshake, `connect_request`, `connect_success`. Each line has a server, a
//! database and a stream of its own.

use super::{guests, number};
use crate::{
    crowd::Crowd, latency::Latency, machine, presence::Presence, report::Report, say, services::Services,
};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// As in a school.
const PER_CLASSROOM: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who connect to classrooms of ten
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Who connect to one classroom: each is told of all who come later
    #[arg(long, default_value_t = 1_000)]
    one_room_agents: usize,
    /// How many connect at a time
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1000])]
    in_flight: Vec<usize>,
}

/// The server looks at its store's count of statements once a second.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

const COLUMNS: &[&str] = &[
    "classrooms",
    "agents",
    "in flight",
    "connects/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "failed",
    "round trips/connect",
    "server CPU %",
    "client CPU %",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.agents.max(args.one_room_agents))?;
    let services = Services::find().await?;
    let mut report = Report::new("connect", COLUMNS, services.facts());
    for (agents, classrooms) in
        [(args.agents, args.agents.div_ceil(PER_CLASSROOM)), (args.one_room_agents, 1)]
    {
        for in_flight in args.in_flight.iter().copied().filter(|in_flight| *in_flight > 0) {
            measure(&services, &mut report, (agents, classrooms), in_flight).await?;
        }
    }
    services.forget_stream().await;
    report.finish()
}

async fn measure(
    services: &Services,
    report: &mut Report,
    (agents, classrooms): (usize, usize),
    in_flight: usize,
) -> Result<()> {
    let server = Presence::start(Some(services)).await?;
    say(&format!("{agents} agents to {classrooms} classrooms, {in_flight} at a time"));
    let mut crowd = Crowd::new(server.target());
    let before = statements(&server).await?;
    let (server_cpu, client_cpu) = (server.process.cpu()?, crate::process::cpu_of("self")?);
    let entry = crowd.enter(guests(agents, classrooms), in_flight).await?;
    let took = entry.took.as_secs_f64();
    let busy = |now: f64, before: f64| json!((now - before) / took * 100.0);
    let server_busy = busy(server.process.cpu()?, server_cpu);
    let client_busy = busy(crate::process::cpu_of("self")?, client_cpu);
    let after = statements(&server).await?;
    let round_trips = before.zip(after).map(|(before, after)| (after - before) / number(entry.agents.max(1)));
    let [p50, p99, max] = Latency::columns(entry.latency);
    report.row([
        json!(classrooms),
        json!(entry.agents),
        json!(in_flight),
        json!(number(entry.agents) / took),
        p50,
        p99,
        max,
        json!(entry.failed + crowd.lost()),
        json!(round_trips),
        server_busy,
        client_busy,
    ]);
    // Before the sockets: it need not hear that all of them leave.
    drop(server);
    Ok(())
}

/// All that have been run by now, those of background work too.
async fn statements(server: &Presence) -> Result<Option<f64>> {
    tokio::time::sleep(COUNTED_WITHIN).await;
    server.statements().await
}
