//! `apps-fanout`: one event to everybody in a full lesson of classroom apps: the highest rate that is delivered whole and
//! in time, by presence and by other Socket.IO servers, one after the other.

use super::arena::{self, Arena};
use crate::{
    crowd::Crowd,
    machine,
    publisher::Publisher,
    report::Report,
    say,
    services::Services,
    socketio::{Contender, Server},
};
use anyhow::Result;

const IN_FLIGHT: usize = 128;
const LESSON: &str = "bench-0";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 5_000)]
    apps: usize,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = super::ALL)]
    servers: Vec<Contender>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.apps)?;
    let services = Services::find().await?;
    let mut report = Report::new("apps-fanout", arena::COLUMNS, services.facts());
    for contender in args.servers {
        arena::climb(&mut report, async || open(contender, &services, args.apps).await).await?;
    }
    services.forget_stream().await;
    report.finish()
}

async fn open(contender: Contender, services: &Services, apps: usize) -> Result<Arena<Server>> {
    let server = Server::start(contender, services, 1).await?;
    let mut crowd = Crowd::new(server.target());
    let publisher = Publisher::start(server.line(LESSON)?, crowd.clock)?;
    let visitors = server.visitors(apps, |_| Some(LESSON.into()))?;
    let entry = crowd.visit(visitors, IN_FLIGHT).await?;
    if entry.failed > 0 {
        say(&format!("{} failed to join", entry.failed));
    }
    Arena::of(server, publisher, crowd).await
}
