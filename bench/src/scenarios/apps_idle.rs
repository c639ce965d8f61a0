//! `apps-idle`: what a classroom app costs that is there and says nothing: once connected only, once in lessons of ten,
//! each with a server of its own. Memory against that of the empty server.

use super::{Measured, number};
use crate::{
    crowd::Crowd,
    machine,
    process::Memory,
    report::Report,
    say,
    services::Services,
    socketio::{Contender, Server},
};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 128;
const PER_LESSON: usize = 10;
/// From the last one's entry to the look. Each was pinged once by then (every 25 s), so what that leaves is in it.
const SETTLE: Duration = Duration::from_secs(30);

/// Until an empty server is looked at: what starting up took has been given back by then.
const START_UP: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10_000)]
    apps: usize,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = super::ALL)]
    servers: Vec<Contender>,
}

const COLUMNS: &[&str] = &[
    "server",
    "apps are",
    "apps",
    "empty RSS MiB",
    "RSS MiB",
    "RSS KiB/app",
    "PSS KiB/app",
    "CPU s/app/min",
    "lost",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.apps)?;
    let services = Services::find().await?;
    let mut report = Report::new("apps-idle", COLUMNS, services.facts());
    for contender in args.servers {
        for in_lessons in [false, true] {
            measure(&services, &mut report, contender, (args.apps, in_lessons)).await?;
        }
    }
    services.forget_stream().await;
    report.finish()
}

async fn measure(
    services: &Services,
    report: &mut Report,
    contender: Contender,
    (apps, in_lessons): (usize, bool),
) -> Result<()> {
    let lessons = apps.div_ceil(PER_LESSON);
    let server = Server::start(contender, services, lessons).await?;
    tokio::time::sleep(START_UP).await;
    let empty = server.process().memory()?;
    let mut crowd = Crowd::new(server.target());
    let lesson = |number| in_lessons.then(|| format!("bench-{}", number % lessons));
    let entry = crowd.visit(server.visitors(apps, lesson)?, IN_FLIGHT).await?;
    say(&format!(
        "{}: {} apps in {:.1} s; settling",
        contender.name(),
        entry.agents,
        entry.took.as_secs_f64()
    ));
    let (started, cpu) = (Instant::now(), server.process().cpu()?);
    tokio::time::sleep(SETTLE).await;
    let cpu = (server.process().cpu()? - cpu) / (started.elapsed().as_secs_f64() / 60.0);
    let (present, full) = (crowd.present(), server.process().memory()?);
    let each = |of: fn(&Memory) -> u64| {
        let grown = of(&full).saturating_sub(of(&empty));
        number(usize::try_from(grown).unwrap_or(usize::MAX)) / number(present.max(1))
    };
    let mib = |memory: Memory| number(usize::try_from(memory.resident).unwrap_or(usize::MAX)) / 1024.0;
    let state = if in_lessons { "in lessons of ten" } else { "connected" };
    let resident = each(|memory| memory.resident);
    report.row([
        json!(contender.name()),
        json!(state),
        json!(present),
        json!(mib(empty)),
        json!(mib(full)),
        json!(resident),
        json!(each(|memory| memory.proportional)),
        json!(cpu / number(present.max(1))),
        json!(crowd.lost() + entry.failed),
    ]);
    if let Some(why) = crowd.first_loss() {
        say(&format!("the first that was lost: {why}"));
    }
    let what = if in_lessons { "joined" } else { "connected" };
    report.result(&format!("{}_kib_per_app_{what}", contender.name()), resident);
    // The server first: it need not hear that all of them leave.
    drop((server, crowd));
    Ok(())
}
