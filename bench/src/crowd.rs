//! Many agents: connected so many at a time, then read until the crowd is dropped.

use crate::{
    agent::{Agent, Guest, Target},
    app::{App, Visitor},
    latency::Latency,
    tally::Tally,
    tick::Clock,
};
use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, stream};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CONNECT_WITHIN: Duration = Duration::from_mins(1);
/// More failures than this, and what is measured would not be what was meant.
const FAILURES: usize = 50;
const QUIET: Duration = Duration::from_secs(2);
const QUIET_WITHIN: Duration = Duration::from_mins(5);

pub(crate) struct Crowd {
    target: Target,
    readers: JoinSet<String>,
    lost: usize,
    first_loss: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

/// How a crowd came in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) agents: usize,
    pub(crate) failed: usize,
    pub(crate) took: Duration,
    pub(crate) latency: Option<Latency>,
}

impl Crowd {
    pub(crate) fn new(target: Target) -> Self {
        let clock = Clock::start();
        let tally = Arc::new(Tally::new(clock));
        Self { target, readers: JoinSet::new(), lost: 0, first_loss: None, clock, tally }
    }

    /// Connects all guests, `in_flight` at a time. Those who fail are counted; too many of them are an error.
    pub(crate) async fn enter(&mut self, guests: Vec<Guest>, in_flight: usize) -> Result<Entry> {
        let (target, tally) = (self.target.clone(), self.tally.clone());
        let connecting = guests.into_iter().map(|guest| {
            let (target, tally) = (target.clone(), tally.clone());
            async move { Ok(Agent::connect(&target, &guest, &tally).await?.run()) }
        });
        self.admit(connecting, in_flight).await
    }

    /// The same for classroom apps.
    pub(crate) async fn visit(&mut self, visitors: Vec<Visitor>, in_flight: usize) -> Result<Entry> {
        let (address, tally) = (self.target.address, self.tally.clone());
        let connecting = visitors.into_iter().map(|visitor| {
            let tally = tally.clone();
            async move { Ok(App::connect(address, &visitor, &tally).await?.run()) }
        });
        self.admit(connecting, in_flight).await
    }

    /// Connected apps join their lessons.
    pub(crate) async fn join(&mut self, apps: Vec<(App, String)>, in_flight: usize) -> Result<Entry> {
        let joining = apps.into_iter().map(async |(mut app, lesson)| {
            app.join(&lesson).await?;
            Ok(app.run())
        });
        self.admit(joining, in_flight).await
    }

    /// Each connects, and then reads until its end.
    async fn admit<C, R>(
        &mut self,
        connecting: impl ExactSizeIterator<Item = C>,
        in_flight: usize,
    ) -> Result<Entry>
    where
        C: Future<Output = Result<R>>,
        R: Future<Output = String> + Send + 'static,
    {
        let (started, expected) = (Instant::now(), connecting.len());
        let connecting = connecting.map(async |connecting| {
            let begun = Instant::now();
            let reader = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
            (reader, u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX))
        });
        let mut connecting = stream::iter(connecting).buffer_unordered(in_flight);
        let (mut latencies, mut failed) = (Vec::with_capacity(expected), 0);
        while let Some((reader, micros)) = connecting.next().await {
            match reader.context("no answer within a minute").and_then(|reader| reader) {
                Ok(reader) => {
                    latencies.push(micros);
                    self.readers.spawn(reader);
                }
                Err(error) if failed >= FAILURES => {
                    bail!("{failed} agents failed to connect; the last: {error:#}")
                }
                Err(error) => {
                    if failed == 0 {
                        crate::say(&format!("an agent failed to connect: {error:#}"));
                    }
                    failed += 1;
                }
            }
        }
        let agents = latencies.len();
        Ok(Entry { agents, failed, took: started.elapsed(), latency: Latency::of(latencies) })
    }

    /// How many are still connected.
    pub(crate) fn present(&mut self) -> usize {
        while let Some(ended) = self.readers.try_join_next() {
            self.lost += 1;
            let why = ended.unwrap_or_else(|error| error.to_string());
            self.first_loss.get_or_insert(why);
        }
        self.readers.len()
    }

    /// How many were lost so far.
    pub(crate) fn lost(&mut self) -> usize {
        self.present();
        self.lost
    }

    /// Why the first one that was lost is gone.
    pub(crate) fn first_loss(&self) -> Option<&str> {
        self.first_loss.as_deref()
    }

    /// Waits until nobody has been sent anything for a while: who entered has been told to all.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let started = Instant::now();
        let (mut before, mut since) = (self.tally.frames(), Instant::now());
        while since.elapsed() < QUIET {
            if started.elapsed() > QUIET_WITHIN {
                bail!("the crowd is still being told something after {} s", QUIET_WITHIN.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.tally.frames();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        Ok(())
    }
}
