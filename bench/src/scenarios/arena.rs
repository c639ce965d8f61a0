//! A full room and somebody who speaks in it: how a burst of events at a steady rate gets through, and at which rate it
//! still gets through whole and in time.

use super::number;
use crate::{
    crowd::Crowd,
    latency::Latency,
    process::{Process, cpu_of},
    publisher::{Burst, Publisher},
    report::Report,
    say,
    scenarios::search::Search,
};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The first and slowest step is the one whose latencies count: it takes its time.
const FIRST_STEP_SECONDS: u32 = 10;
const STEP_SECONDS: u32 = 4;
const BISECTIONS: u32 = 2;
/// In time: 99 of 100 deliveries took less than this.
const IN_TIME_MICROS: u32 = 100_000;
/// What has not arrived so long after the last tick was sent is missing.
const LATEST: Duration = Duration::from_secs(10);

pub(super) const COLUMNS: &[&str] = &[
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

/// A server under measurement.
pub(crate) trait Measured {
    fn name(&self) -> &'static str;
    fn process(&self) -> &Process;
}

/// Climbs until a rate is too high, each broken arena replaced by a new one, and reports each step and the best.
pub(super) async fn climb<S: Measured>(
    report: &mut Report,
    open: impl AsyncFn() -> Result<Arena<S>>,
) -> Result<()> {
    let mut arena = open().await?;
    let (mut search, mut seconds) = (Search::new(BISECTIONS), FIRST_STEP_SECONDS);
    while let Some(rate) = search.next() {
        if !arena.is_whole() {
            // What a server that was asked too much does next is another benchmark's question.
            drop(arena);
            arena = open().await?;
        }
        let step = arena.step(Burst { per_second: rate, count: rate * seconds }).await?;
        report_step(report, arena.server.name(), &step);
        search.record(rate, step.passed());
        seconds = STEP_SECONDS;
    }
    let best = search.passed.map(|rate| rate as usize * arena.sockets);
    report.result(&format!("{}_deliveries_per_second", arena.server.name()), best);
    Ok(())
}

fn report_step(report: &mut Report, server: &str, step: &Step) {
    let [p50, p99, max] = Latency::columns(step.latency);
    let busy = |cpu: f64| json!(cpu / step.took.as_secs_f64() * 100.0);
    let delivered = number(step.delivered);
    report.row([
        json!(server),
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
pub(super) struct Arena<S> {
    server: S,
    publisher: Publisher,
    crowd: Crowd,
    sockets: usize,
    /// The last step was received whole.
    whole: bool,
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

impl<S: Measured> Arena<S> {
    /// Once the crowd is in, and has been told of all who came.
    pub(super) async fn of(server: S, publisher: Publisher, mut crowd: Crowd) -> Result<Self> {
        crowd.quiet().await?;
        let sockets = crowd.present();
        say(&format!("{}: {sockets} sockets in one room", server.name()));
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
