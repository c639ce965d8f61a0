//! `idle`: what an agent costs that is present and says nothing. Memory against that of the empty server, CPU time of
//! pings and leases, and the JetStream consumers that must not be there.

use super::{guests, number};
use crate::{crowd::Crowd, machine, presence::Presence, report::Report, say, services::Services};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 128;
/// From the last one's entry to the first look.
const SETTLE: Duration = Duration::from_secs(20);
/// As long as the interval of pings: each agent is pinged once.
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    #[arg(long, default_value_t = 1_000)]
    classrooms: usize,
    /// On SQLite and the bus in the process, instead of PostgreSQL and NATS
    #[arg(long)]
    alone: bool,
}

const COLUMNS: &[&str] =
    &["agents", "RSS MiB", "PSS MiB", "RSS KiB/agent", "PSS KiB/agent", "CPU s/agent/min"];

pub(crate) async fn run(args: Args) -> Result<()> {
    machine::check_open_files(args.agents)?;
    let services = if args.alone { None } else { Some(Services::find().await?) };
    let facts = services.as_ref().map_or(Value::Null, Services::facts);
    let mut report = Report::new(if args.alone { "idle-alone" } else { "idle" }, COLUMNS, facts);
    let mut server = Presence::start(services.as_ref()).await?;
    say("the server is ready and empty");
    let empty = look(&mut server, 0, None).await?;
    report.row(empty.cells());
    let mut crowd = Crowd::new(server.target());
    let entry = crowd.enter(guests(args.agents, args.classrooms), IN_FLIGHT).await?;
    say(&format!("{} agents entered in {:.1} s; settling", entry.agents, entry.took.as_secs_f64()));
    tokio::time::sleep(SETTLE).await;
    let agents = crowd.present();
    let full = look(&mut server, agents, Some(&empty)).await?;
    report.row(full.cells());
    report.result("kib_per_agent", full.resident_each.unwrap_or_default());
    report.result("lost_agents", crowd.lost() + entry.failed);
    report.result("first_loss", crowd.first_loss());
    if let Some(services) = &services {
        report.result("jetstream_consumers", services.consumers().await?);
    }
    report.result("server_cpus", machine::allowed_cpus(&server.process.id().to_string()));
    // The server first: it need not hear that all of them leave.
    drop((server, crowd));
    if let Some(services) = &services {
        services.forget_stream().await;
    }
    report.finish()
}

/// One look at the server.
struct Look {
    agents: usize,
    resident: f64,
    proportional: f64,
    resident_each: Option<f64>,
    proportional_each: Option<f64>,
    cpu_each_per_minute: Option<f64>,
}

/// Watches the server's CPU for a while, and its memory at the end; per agent, what is above the empty server's.
async fn look(server: &mut Presence, agents: usize, empty: Option<&Look>) -> Result<Look> {
    let (started, cpu_before) = (Instant::now(), server.process.cpu()?);
    tokio::time::sleep(if empty.is_some() { WINDOW } else { Duration::from_secs(3) }).await;
    let cpu = server.process.cpu()? - cpu_before;
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let memory = server.process.memory()?;
    let [resident, proportional] =
        [memory.resident, memory.proportional].map(|kib| number(usize::try_from(kib).unwrap_or(usize::MAX)));
    let each = |of: f64, none: f64| (of - none) / number(agents.max(1));
    Ok(Look {
        agents,
        resident,
        proportional,
        resident_each: empty.map(|empty| each(resident, empty.resident)),
        proportional_each: empty.map(|empty| each(proportional, empty.proportional)),
        cpu_each_per_minute: empty.map(|_| cpu / minutes / number(agents.max(1))),
    })
}

impl Look {
    fn cells(&self) -> [Value; 6] {
        [
            json!(self.agents),
            json!(self.resident / 1024.0),
            json!(self.proportional / 1024.0),
            json!(self.resident_each),
            json!(self.proportional_each),
            json!(self.cpu_each_per_minute),
        ]
    }
}
