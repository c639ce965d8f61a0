//! `fanout`: one event to everybody in a full classroom. First the latency at a leisurely rate, then the highest rate
//! that is delivered whole and in time. The same client reads presence and a bare broadcaster, one after the other.

use super::{guests, number};
use crate::{
    agent::Target,
    crowd::Crowd,
    latency::Latency,
    machine,
    presence::Presence,
    process::{Process, cpu_of},
    publisher::{Burst, Line, Publisher},
    report::Report,
    say,
    scenarios::search::Search,
    services::Services,
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const IN_FLIGHT: usize = 128;
/// The first and slowest step is the one whose latencies count: it takes its time.
const FIRST_STEP_SECONDS: u32 = 10;
const STEP_SECONDS: u32 = 4;
const BISECTIONS: u32 = 2;
/// In time: 99 of 100 deliveries took less than this.
const IN_TIME_MICROS: u32 = 100_000;
/// What has not arrived so long after the last tick was sent is missing.
const LATEST: Duration = Duration::from_secs(10);

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

const COLUMNS: &[&str] = &[
    "server",
    "sockets",
    "events/s",
    "deliveries/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "missing",
    "out of order",
    "sockets lost",
    "server CPU %",
    "client CPU %",
    "server CPU s/1M",
    "in time",
];

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.sockets)?;
    let services = Services::find().await?;
    let mut report = Report::new("fanout", COLUMNS, services.facts());
    for contender in args.servers {
        climb(contender, &services, args.sockets, &mut report).await?;
    }
    services.forget_stream().await;
    report.finish()
}

async fn climb(contender: Contender, services: &Services, sockets: usize, report: &mut Report) -> Result<()> {
    let mut arena = Arena::open(contender, services, sockets).await?;
    let (mut search, mut seconds) = (Search::new(BISECTIONS), FIRST_STEP_SECONDS);
    while let Some(rate) = search.next() {
        if !arena.is_whole() {
            // What a server that was asked too much does next is another benchmark's question.
            drop(arena);
            arena = Arena::open(contender, services, sockets).await?;
        }
        let step = arena.step(Burst { per_second: rate, count: rate * seconds }).await?;
        report_step(report, contender, &step);
        search.record(rate, step.passed());
        seconds = STEP_SECONDS;
    }
    let best = search.passed.map(|rate| rate as usize * arena.sockets);
    report.result(&format!("{}_deliveries_per_second", contender.name()), best);
    Ok(())
}

fn report_step(report: &mut Report, contender: Contender, step: &Step) {
    let [p50, p99, max] = Latency::columns(step.latency);
    let busy = |cpu: f64| json!(cpu / step.took.as_secs_f64() * 100.0);
    let delivered = number(step.delivered);
    report.row([
        json!(contender.name()),
        json!(step.sockets),
        json!(step.burst.per_second),
        json!(delivered / step.took.as_secs_f64()),
        p50,
        p99,
        max,
        json!(step.missing),
        json!(step.disorder),
        json!(step.lost),
        busy(step.server_cpu),
        busy(step.client_cpu),
        if step.delivered == 0 { Value::Null } else { json!(step.server_cpu / delivered * 1e6) },
        json!(if step.passed() { "yes" } else { "no" }),
    ]);
}

/// A server, a full classroom, and somebody who speaks in it. The server is dropped first: it need not hear that all
/// the sockets leave.
struct Arena {
    server: Server,
    publisher: Publisher,
    crowd: Crowd,
    sockets: usize,
    /// The last step was received whole.
    whole: bool,
}

enum Server {
    Presence(Box<Presence>),
    Bare { process: Process, _folder: TempDir },
}

/// What one burst came to.
struct Step {
    sockets: usize,
    burst: Burst,
    took: Duration,
    latency: Option<Latency>,
    delivered: usize,
    missing: usize,
    disorder: u64,
    lost: usize,
    server_cpu: f64,
    client_cpu: f64,
}

impl Step {
    fn passed(&self) -> bool {
        let in_time = self.latency.is_some_and(|latency| latency.p99 < IN_TIME_MICROS);
        in_time && self.missing == 0 && self.disorder == 0 && self.lost == 0
    }
}

impl Arena {
    async fn open(contender: Contender, services: &Services, sockets: usize) -> Result<Self> {
        let guests = guests(sockets, 1);
        let classroom = guests.first().context("fanout needs a socket")?.classroom.clone();
        let (server, target, line) = match contender {
            Contender::Presence => {
                let presence = Presence::start(Some(services)).await?;
                let target = presence.target();
                (
                    Server::Presence(Box::new(presence)),
                    target,
                    Line::Nats { server: services.nats.clone(), classroom },
                )
            }
            Contender::Bare => start_bare(&["bare"]).await?,
            Contender::BareCoalescing => start_bare(&["bare", "--coalesce"]).await?,
        };
        let mut crowd = Crowd::new(target);
        let publisher = Publisher::start(line, crowd.clock)?;
        let entry = crowd.enter(guests, IN_FLIGHT).await?;
        crowd.quiet().await?;
        let sockets = crowd.present();
        say(&format!("{}: {sockets} sockets in one room, {} failed", contender.name(), entry.failed));
        Ok(Self { server, publisher, crowd, sockets, whole: true })
    }

    /// Whether the next step would start as if nothing had been.
    fn is_whole(&mut self) -> bool {
        self.whole && self.crowd.present() == self.sockets
    }

    async fn step(&mut self, burst: Burst) -> Result<Step> {
        self.crowd.tally.take();
        let (started, lost_before) = (Instant::now(), self.crowd.lost());
        let (server_cpu, client_cpu) = (self.server.process().cpu()?, cpu_of("self")?);
        let unacknowledged = self.publisher.send(burst).await?;
        if unacknowledged > 0 {
            say(&format!("NATS did not acknowledge {unacknowledged} events in time"));
        }
        let sockets = self.sockets;
        let expected = sockets * burst.count as usize;
        let sent = Instant::now();
        while self.crowd.tally.deliveries() < expected && sent.elapsed() < LATEST {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let took = started.elapsed();
        let (server_cpu, client_cpu) =
            (self.server.process().cpu()? - server_cpu, cpu_of("self")? - client_cpu);
        let counted = self.crowd.tally.take();
        let delivered = counted.latencies.len();
        let missing = expected.saturating_sub(delivered);
        self.whole = missing == 0 && counted.disorder == 0;
        let lost = self.crowd.lost() - lost_before;
        if let Some(why) = self.crowd.first_loss().filter(|_| lost > 0) {
            say(&format!("{lost} sockets were lost, the first with: {why}"));
        }
        let latency = Latency::of(counted.latencies);
        let disorder = counted.disorder;
        Ok(Step { sockets, burst, took, latency, delivered, missing, disorder, lost, server_cpu, client_cpu })
    }
}

impl Server {
    const fn process(&self) -> &Process {
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

async fn start_bare(args: &[&str]) -> Result<(Server, Target, Line)> {
    let folder = tempfile::tempdir().context("make a folder for the broadcaster")?;
    let ourselves = std::env::current_exe().context("find ourselves")?;
    let mut process = Process::start(&ourselves, args, &[], folder.path().join("bare.log"))?;
    let ports = process.wait_for("ports", async |process| two_ports(&process.said())).await?;
    let [sockets, publisher] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let target = Target { address: sockets, token: "none".into() };
    Ok((Server::Bare { process, _folder: folder }, target, Line::Bare(publisher)))
}

fn two_ports(said: &str) -> Option<[u16; 2]> {
    let (sockets, publisher) = said.strip_suffix('\n')?.split_once(' ')?;
    Some([sockets.parse().ok()?, publisher.parse().ok()?])
}
