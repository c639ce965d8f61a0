//! The bus inside one process: a bounded memory of events, for `cargo run` and for tests. It keeps the same contract as
//! the one on NATS, and decodes what is published in the same way; it reaches nobody else, and forgets on exit.

#[path = "bus_in_process_ring.rs"]
mod ring;

use crate::{
    event::{Body, Encoded, Poison},
    ports::{
        Fault,
        bus::{Arrival, Backlog, Bus, Outgoing, Subscription},
        clock::Clock,
    },
};
use async_trait::async_trait;
use futures_util::StreamExt;
use presence_core::ids::ClassroomId;
use ring::{Caught, Message, Ring};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::watch, task::coop};

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub event_body: Body,
    /// How many events are remembered, for those who resume and those who are slow.
    pub max_events: usize,
    /// And how many bytes of them.
    pub max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { event_body: Body::default(), max_events: 64 * 1024, max_bytes: 64 * 1024 * 1024 }
    }
}

/// A read takes no more, as on NATS.
const MAX_READ: usize = 1_000;
/// A subscription takes this many at a time from the memory.
const BATCH: usize = 64;

#[derive(Debug, Clone)]
pub struct InProcessBus {
    ring: Arc<Mutex<Ring>>,
    event_body: Body,
}

impl InProcessBus {
    pub fn new(options: Options, clock: &dyn Clock) -> Self {
        // The microsecond of its making, as if an event had been said in each before: what a client remembers of an
        // earlier process lies below, however soon this one follows it.
        let first = u64::try_from(clock.wall().0).unwrap_or(0).max(1);
        Self {
            ring: Arc::new(Mutex::new(Ring::new(first, options.max_events, options.max_bytes))),
            event_body: options.event_body,
        }
    }

    /// What a sibling service would send: any subject, headers and body. What is no event is counted, and skipped.
    pub fn publish_raw(&self, subject: &str, headers: &[(&str, &str)], body: &[u8]) -> u64 {
        let message = Message { subject, headers, body };
        lock(&self.ring).publish(&message)
    }

    /// How many messages were no events, for metrics.
    pub fn poison_counts(&self) -> impl Iterator<Item = (Poison, u64)> + '_ {
        let counts = Poison::ALL.map(|poison| (poison, lock(&self.ring).poison.get(poison)));
        counts.into_iter()
    }
}

/// Nothing panics while it holds the lock, so a poisoned one is still whole.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, event: &Outgoing) -> Result<u64, Fault> {
        let encoded = Encoded::new(event.operation, event.session_id, &event.key, self.event_body);
        let mut headers = vec![(presence_api::event::headers::MSG_ID, encoded.message_id.as_str())];
        headers.extend(encoded.headers.iter().map(|(name, value)| (*name, value.as_str())));
        Ok(self.publish_raw(&encoded.subject, &headers, &encoded.body))
    }

    async fn subscribe(&self, classroom: &ClassroomId) -> Result<Subscription, Fault> {
        let (position, bell) = lock(&self.ring).listen(classroom);
        let listener = Listener {
            ring: self.ring.clone(),
            classroom: classroom.clone(),
            position,
            bell,
            waiting: VecDeque::new(),
        };
        let arrivals = futures_util::stream::unfold(listener, |mut listener| async move {
            let arrival = listener.next().await?;
            Some((arrival, listener))
        });
        Ok(Subscription { position, arrivals: arrivals.boxed() })
    }

    async fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Result<Backlog, Fault> {
        let ring = lock(&self.ring);
        if up_to > ring.last() || after < ring.floor(classroom) {
            return Ok(Backlog::Unprovable);
        }
        let events = ring.after(classroom, after, MAX_READ + 1);
        let events: Vec<_> = events.into_iter().take_while(|event| event.seq <= up_to).collect();
        if events.len() > MAX_READ {
            return Ok(Backlog::Unprovable);
        }
        Ok(Backlog::Complete(events))
    }

    fn is_up(&self) -> bool {
        true
    }
}

/// One subscription: it remembers a position, and takes what came after it when the bell rings.
struct Listener {
    ring: Arc<Mutex<Ring>>,
    classroom: ClassroomId,
    position: u64,
    bell: Option<watch::Receiver<u64>>,
    waiting: VecDeque<Arrival>,
}

impl Listener {
    async fn next(&mut self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.waiting.pop_front() {
                return Some(arrival);
            }
            coop::consume_budget().await;
            // Seen before looking, so that what comes in between rings again.
            self.bell.as_mut()?.mark_unchanged();
            let caught = lock(&self.ring).catch_up(&self.classroom, self.position, BATCH);
            match caught {
                Caught::Gap { position } => {
                    self.position = position;
                    self.waiting.push_back(Arrival::Gap { position });
                }
                Caught::Events(events) if events.is_empty() => {
                    self.bell.as_mut()?.changed().await.ok()?;
                }
                Caught::Events(events) => {
                    self.position = events.last().map_or(self.position, |event| event.seq);
                    self.waiting.extend(events.into_iter().map(Arrival::Event));
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The receiver goes first, so that the classroom can see that nobody is left.
        self.bell = None;
        lock(&self.ring).tidy(&self.classroom);
    }
}
