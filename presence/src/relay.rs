//! From the outbox to the bus: what the store has committed is published, in order per key, and then marked so.
//!
//! Flows nudge it and may wait for one event; nobody is stopped by a bus that is away. Events of a replica that died
//! are published by whoever finds them waiting. See `docs/adr/0003-outbox.md`.

use crate::{
    crash,
    ports::{
        Fault,
        bus::{Bus, Outgoing},
        session_store::{Due, Outbox, Pending},
    },
};
use futures_util::{StreamExt, stream};
use presence_api::event::Operation;
use presence_core::ids::{ReplicaId, SessionId, SessionKey};
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// Events fetched at a time.
const BATCH: u32 = 256;
/// Keys published side by side.
const PARALLEL: usize = 64;
/// An event that waited longer than this may have lost its writer.
const ORPHANED_AFTER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A round costs two statements, whatever it carries: rounds that follow each other closer than this would carry less.
const PACE: Duration = Duration::from_millis(5);
/// An event that was fetched longer ago may have been published by another replica since, so long ago that the stream no
/// longer knows it: this process slept. It is fetched anew, if it still waits.
const FRESH: Duration = Duration::from_secs(30);
/// How many published events are remembered for those who ask late.
const REMEMBERED: usize = 4096;

type Name = (SessionId, Operation);

#[derive(Debug, Default)]
pub struct Relay {
    work: Notify,
    waiting: Mutex<Waiting>,
    published: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    for_event: HashMap<Name, oneshot::Sender<()>>,
    sent: HashSet<Name>,
    sent_order: VecDeque<Name>,
}

/// Somebody waits until an event is out.
#[derive(Debug)]
pub struct Sent<'a> {
    relay: &'a Relay,
    name: Name,
    done: oneshot::Receiver<()>,
}

impl Sent<'_> {
    /// Waits no longer than this; the event will be out sooner or later all the same.
    pub async fn within(mut self, patience: Duration) {
        // Late or not, whoever waits goes on.
        let _ = tokio::time::timeout(patience, &mut self.done).await;
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.relay.lock().for_event.remove(&self.name);
    }
}

impl Relay {
    /// A relay that counts what it has published.
    pub fn counting(published: Counter) -> Self {
        Self { published, ..Self::default() }
    }

    /// There is something in the outbox.
    pub fn nudge(&self) {
        self.work.notify_one();
    }

    /// Nudges, and lets the caller wait for this event.
    pub fn sent(&self, session_id: SessionId, operation: Operation) -> Sent<'_> {
        let name = (session_id, operation);
        let (tell, done) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.sent.contains(&name) {
            // A receiver hears of a message that was sent before it waits.
            let _ = tell.send(());
        } else {
            waiting.for_event.insert(name, tell);
        }
        drop(waiting);
        self.nudge();
        Sent { relay: self, name, done }
    }

    fn mark_sent(&self, published: &[Pending]) {
        let mut waiting = self.lock();
        for event in published {
            let name = (event.session_id, event.operation);
            if let Some(tell) = waiting.for_event.remove(&name) {
                // Whoever stopped waiting does not mind.
                let _ = tell.send(());
            }
            if waiting.sent.insert(name) {
                waiting.sent_order.push_back(name);
            }
        }
        while waiting.sent_order.len() > REMEMBERED {
            if let Some(oldest) = waiting.sent_order.pop_front() {
                waiting.sent.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Publishes for as long as it is polled.
    pub async fn run(self: Arc<Self>, outbox: Arc<dyn Outbox>, bus: Arc<dyn Bus>, me: ReplicaId) {
        let (mut pause, mut next_round) = (Duration::ZERO, Instant::now());
        let mut orphans = tokio::time::interval(POLL);
        orphans.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                // First, or a replica that is never without work would never look; it comes once a second.
                biased;
                _ = orphans.tick() => Due::OlderThan(ORPHANED_AFTER),
                () = self.work.notified() => Due::Of(me),
            };
            // Whoever comes after a rest is not kept waiting.
            tokio::time::sleep_until(next_round).await;
            next_round = Instant::now() + PACE;
            match self.publish_all(&*outbox, &*bus, due).await {
                Ok(()) => pause = Duration::ZERO,
                Err(fault) => {
                    tracing::warn!(
                        error = &fault as &dyn std::error::Error,
                        "relay events; they stay in the outbox"
                    );
                    pause = (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Publishes what is due until nothing is, so that one nudge is enough for many events.
    pub async fn publish_all(&self, outbox: &dyn Outbox, bus: &dyn Bus, which: Due) -> Result<(), Fault> {
        loop {
            let fresh_until = Instant::now() + FRESH;
            let due = outbox.due(which, BATCH).await?;
            crash::point("relay.fetched");
            let fetched = due.len();
            let (published, fault) = publish(bus, due, fresh_until).await;
            let positions: Vec<_> = published.iter().map(|event| event.position).collect();
            if !positions.is_empty() {
                self.mark_sent(&published);
                self.published.inc_by(positions.len() as u64);
                crash::point("relay.published");
                outbox.published(&positions).await?;
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
            if fetched < BATCH as usize {
                return Ok(());
            }
        }
    }
}

/// Publishes events of different keys side by side, those of one key one after the other. An event that fails holds
/// back the later ones of its key.
async fn publish(bus: &dyn Bus, due: Vec<Pending>, fresh_until: Instant) -> (Vec<Pending>, Option<Fault>) {
    let mut by_key: HashMap<SessionKey, Vec<Pending>> = HashMap::new();
    for event in due {
        by_key.entry(event.key.clone()).or_default().push(event);
    }
    let keys = by_key.into_values().map(|events| publish_in_order(bus, events, fresh_until));
    let mut outcomes = stream::iter(keys).buffer_unordered(PARALLEL);
    let (mut published, mut first_fault) = (vec![], None);
    while let Some((events, fault)) = outcomes.next().await {
        published.extend(events);
        first_fault = first_fault.or(fault);
    }
    (published, first_fault)
}

async fn publish_in_order(
    bus: &dyn Bus,
    events: Vec<Pending>,
    fresh_until: Instant,
) -> (Vec<Pending>, Option<Fault>) {
    let mut published = vec![];
    for event in events {
        if Instant::now() > fresh_until {
            break;
        }
        let outgoing =
            Outgoing { operation: event.operation, session_id: event.session_id, key: event.key.clone() };
        match bus.publish(&outgoing).await {
            Ok(_) => published.push(event),
            Err(fault) => return (published, Some(fault)),
        }
    }
    (published, None)
}
