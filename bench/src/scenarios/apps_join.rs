//! `apps-join`: `join_lesson` per second. All are connected before; then they join lessons of ten, so many at a time. Each
//! line has a server, a database and a database of Redis of its own.

use super::{Measured, number};
use crate::{
    app::App,
    crowd::Crowd,
    latency::Latency,
    machine,
    process::cpu_of,
    report::Report,
    say,
    services::Services,
    socketio::{Contender, Server},
};
use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

const CONNECT_AT_A_TIME: usize = 128;
const PER_LESSON: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10_000)]
    apps: usize,
    /// How many join at a time
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1000])]
    in_flight: Vec<usize>,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = super::ALL)]
    servers: Vec<Contender>,
}

const COLUMNS: &[&str] = &[
    "server",
    "lessons",
    "apps",
    "in flight",
    "joins/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "failed",
    "server CPU %",
    "client CPU %",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.apps)?;
    let services = Services::find().await?;
    let mut report = Report::new("apps-join", COLUMNS, services.facts());
    for contender in args.servers {
        for in_flight in args.in_flight.iter().copied().filter(|in_flight| *in_flight > 0) {
            measure(&services, &mut report, contender, (args.apps, in_flight)).await?;
        }
    }
    services.forget_stream().await;
    report.finish()
}

async fn measure(
    services: &Services,
    report: &mut Report,
    contender: Contender,
    (apps, in_flight): (usize, usize),
) -> Result<()> {
    let lessons = apps.div_ceil(PER_LESSON);
    let server = Server::start(contender, services, lessons).await?;
    let mut crowd = Crowd::new(server.target());
    let visitors = server.visitors(apps, |_| None)?;
    let connecting = visitors.iter().map(|visitor| App::connect(server.address, visitor, &crowd.tally));
    let connected: Vec<App> =
        stream::iter(connecting).buffer_unordered(CONNECT_AT_A_TIME).try_collect().await?;
    say(&format!("{}: {apps} apps to {lessons} lessons, {in_flight} at a time", contender.name()));
    let joining =
        connected.into_iter().enumerate().map(|(number, app)| (app, format!("bench-{}", number % lessons)));
    let (server_cpu, client_cpu) = (server.process().cpu()?, cpu_of("self")?);
    let entry = crowd.join(joining.collect(), in_flight).await?;
    let took = entry.took.as_secs_f64();
    let busy = |now: f64, before: f64| json!((now - before) / took * 100.0);
    let server_busy = busy(server.process().cpu()?, server_cpu);
    let client_busy = busy(cpu_of("self")?, client_cpu);
    let [p50, p99, max] = Latency::columns(entry.latency);
    let rate = number(entry.agents) / took;
    report.row([
        json!(contender.name()),
        json!(lessons),
        json!(entry.agents),
        json!(in_flight),
        json!(rate),
        p50,
        p99,
        max,
        json!(entry.failed + crowd.lost()),
        server_busy,
        client_busy,
    ]);
    report.result(&format!("{}_joins_per_second_{in_flight}", contender.name()), rate);
    // The server first: it need not hear that all of them leave.
    drop((server, crowd));
    Ok(())
}
