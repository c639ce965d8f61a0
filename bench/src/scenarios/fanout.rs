//! `fanout`: one event to everybody in a full classroom. First the latency at a leisurely rate, then the highest rate
//! that is delivered whole and in time. The same client reads presence and a bare broadcaster, one after the other.

use super::{
    arena::{self, Arena, Measured},
    guests,
};
use crate::{
    agent::Target,
    crowd::Crowd,
    machine,
    presence::Presence,
    process::Process,
    publisher::{Line, Publisher},
    report::Report,
    say,
    services::Services,
};
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use tempfile::TempDir;

const IN_FLIGHT: usize = 128;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 5_000)]
    sockets: usize,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::Presence, Contender::Bare, Contender::BareCoalescing])]
    servers: Vec<Contender>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Contender {
    Presence,
    /// Writes each frame by itself
    Bare,
    /// Writes all the frames that wait for a socket at once
    BareCoalescing,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.sockets)?;
    let services = Services::find().await?;
    let mut report = Report::new("fanout", arena::COLUMNS, services.facts());
    for contender in args.servers {
        arena::climb(&mut report, async || open(contender, &services, args.sockets).await).await?;
    }
    services.forget_stream().await;
    report.finish()
}

async fn open(contender: Contender, services: &Services, sockets: usize) -> Result<Arena<Server>> {
    let guests = guests(sockets, 1);
    let classroom = guests.first().context("fanout needs a socket")?.classroom.clone();
    let (server, target, line) = match contender {
        Contender::Presence => {
            let presence = Presence::start(Some(services)).await?;
            let target = presence.target();
            let line = Line::Nats { server: services.nats.clone(), classroom };
            (Server::Presence(Box::new(presence)), target, line)
        }
        Contender::Bare => start_bare(contender, &["bare"]).await?,
        Contender::BareCoalescing => start_bare(contender, &["bare", "--coalesce"]).await?,
    };
    let mut crowd = Crowd::new(target);
    let publisher = Publisher::start(line, crowd.clock)?;
    let entry = crowd.enter(guests, IN_FLIGHT).await?;
    if entry.failed > 0 {
        say(&format!("{} failed to connect", entry.failed));
    }
    Arena::of(server, publisher, crowd).await
}

enum Server {
    Presence(Box<Presence>),
    Bare { contender: Contender, process: Process, _folder: TempDir },
}

impl Measured for Server {
    fn name(&self) -> &'static str {
        match self {
            Self::Presence(_) => Contender::Presence.name(),
            Self::Bare { contender, .. } => contender.name(),
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Presence(presence) => &presence.process,
            Self::Bare { process, .. } => process,
        }
    }
}

impl Contender {
    const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Bare => "bare",
            Self::BareCoalescing => "bare-coalescing",
        }
    }
}

async fn start_bare(contender: Contender, args: &[&str]) -> Result<(Server, Target, Line)> {
    let folder = tempfile::tempdir().context("make a folder for the broadcaster")?;
    let ourselves = std::env::current_exe().context("find ourselves")?;
    let mut process = Process::start(&ourselves, args, &[], folder.path().join("bare.log"))?;
    let ports = process.wait_for("ports", async |process| two_ports(&process.said())).await?;
    let [sockets, publisher] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let target = Target { address: sockets, token: "none".into() };
    Ok((Server::Bare { contender, process, _folder: folder }, target, Line::Bare(publisher)))
}

fn two_ports(said: &str) -> Option<[u16; 2]> {
    let (sockets, publisher) = said.strip_suffix('\n')?.split_once(' ')?;
    Some([sockets.parse().ok()?, publisher.parse().ok()?])
}
