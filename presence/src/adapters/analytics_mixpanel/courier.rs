//! Who sends: gathers reports into batches, sends one request at a time, and decides what becomes of them.
//!
//! Pauses are about Mixpanel, patience is about a batch: a pause goes on from one batch to the next, and while it lasts
//! reports stay in the queue, which drops the newest when it is full. Nothing leaves the courier's hands until it is
//! known what became of it, so it may be interrupted anywhere, and go on.

use super::{
    MixpanelOptions,
    answer::{self, Outcome},
    counts::{Counts, Dropped},
    event::event,
};
use crate::ports::{analytics::Report, clock::Clock};
use flate2::{Compression, write::GzEncoder};
use prometheus_client::metrics::gauge::Gauge;
use reqwest::{
    Client,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use std::{io::Write as _, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::yield_now,
    time::{Instant, sleep_until, timeout_at},
};
use url::Url;

/// Mixpanel takes no more events in a request.
const MAX_EVENTS: usize = 2_000;
/// Of JSON in a request, before it is compressed. Mixpanel documents 2 MB in one place, and 10 in another.
const MAX_BYTES: usize = 1_900_000;
/// After as many events whoever else waits for this thread has a turn.
const BREATH: usize = 100;
/// The pause doubles so often.
const DOUBLINGS: u32 = 5;

/// A report's place in the queue, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    queue: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, queue: &Gauge) -> Self {
        queue.inc();
        Self { queue: queue.clone(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.dec();
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) report: Report,
    #[expect(dead_code, reason = "held until it is known what became of the report")]
    pub(super) place: Place,
}

pub(super) struct Courier {
    client: Client,
    url: Url,
    token: String,
    flush_interval: Duration,
    patience: Duration,
    backoff: Duration,
    clock: Arc<dyn Clock>,
    counts: Counts,
    arrived: mpsc::Receiver<Waiting>,
    /// The batch: what was gathered, and not sent or dropped yet. At most `MAX_EVENTS`.
    hand: Vec<Waiting>,
    /// Events that Mixpanel takes at once, as far as is known: half of what was too much, then more again.
    most: usize,
    /// Requests in a row that are to be tried again.
    failures: u32,
    /// Nothing is sent before.
    paused_until: Option<Instant>,
    /// The trouble that was logged, until there is another one, or none.
    said: Option<String>,
}

/// A request that was not made yet.
struct Request {
    body: Vec<u8>,
    events: usize,
}

impl Courier {
    pub(super) fn new(
        options: &MixpanelOptions,
        (client, base): (Client, Url),
        arrived: mpsc::Receiver<Waiting>,
        (clock, counts): (Arc<dyn Clock>, Counts),
    ) -> Self {
        Self {
            client,
            url: track(base),
            token: options.token.clone(),
            flush_interval: options.flush_interval,
            patience: options.patience,
            backoff: options.backoff,
            clock,
            counts,
            arrived,
            hand: Vec::new(),
            most: MAX_EVENTS,
            failures: 0,
            paused_until: None,
            said: None,
        }
    }

    /// Sends one batch, or drops what cannot be sent.
    pub(super) async fn turn(&mut self) {
        self.pause().await;
        self.gather().await;
        let until = Instant::now() + self.patience;
        while !self.hand.is_empty() {
            self.pause().await;
            if let Some(pause) = self.attempt().await
                && self.put_off(pause) > until
            {
                self.drop_first(self.hand.len(), Dropped::Unavailable);
            }
        }
        self.most = (self.most * 2).min(MAX_EVENTS);
    }

    /// Sends everything that waits, and tries nothing again.
    pub(super) async fn last_words(&mut self) {
        loop {
            self.take();
            if self.hand.is_empty() || self.attempt().await.is_some() {
                return;
            }
        }
    }

    /// Drops everything that waits. Unless there was time for it, that is why.
    pub(super) fn give_up(&mut self, in_time: bool) {
        let why = if in_time { Dropped::Unavailable } else { Dropped::Stopped };
        loop {
            self.take();
            if self.hand.is_empty() {
                return;
            }
            self.drop_first(self.hand.len(), why);
        }
    }

    async fn pause(&mut self) {
        if let Some(until) = self.paused_until {
            sleep_until(until).await;
            self.paused_until = None;
        }
    }

    /// Waits for a report, and then a little for others.
    async fn gather(&mut self) {
        // There may be some in hand from a turn that was interrupted.
        if self.hand.is_empty() && self.arrived.recv_many(&mut self.hand, MAX_EVENTS).await == 0 {
            // Nobody can report any more; whoever runs this need not hear of it.
            std::future::pending::<()>().await;
        }
        let until = Instant::now() + self.flush_interval;
        while self.hand.len() < MAX_EVENTS {
            let room = MAX_EVENTS - self.hand.len();
            let more = timeout_at(until, self.arrived.recv_many(&mut self.hand, room)).await;
            if !matches!(more, Ok(1..)) {
                return;
            }
        }
    }

    /// What waits already, without waiting.
    fn take(&mut self) {
        while self.hand.len() < MAX_EVENTS
            && let Ok(waiting) = self.arrived.try_recv()
        {
            self.hand.push(waiting);
        }
    }

    /// Sends the first of the batch. Returns how long to wait at least, where they are to be tried again.
    async fn attempt(&mut self) -> Option<Duration> {
        let Request { body, events } = self.request().await;
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .body(body)
            .send()
            .await;
        match answer::outcome(sent, &self.token).await {
            Outcome::Accepted => {
                self.hand.drain(..events);
                self.counts.sent.inc_by(events as u64);
                self.well();
            }
            Outcome::TooLarge if events > 1 => self.most = events / 2,
            Outcome::TooLarge => self.drop_first(1, Dropped::TooLarge),
            Outcome::Refused(why) => {
                self.say(why, "Mixpanel refuses reports; they are dropped");
                self.drop_first(events, Dropped::Refused);
            }
            Outcome::Later { why, pause } => {
                self.say(why, "Mixpanel cannot be told; trying again");
                return Some(pause);
            }
        }
        self.failures = 0;
        None
    }

    /// The first of the batch as the body of a request: as many as Mixpanel takes.
    async fn request(&self) -> Request {
        const VEC: &str = "a Vec takes all that is written to it, and an event is text and numbers";
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        let (mut events, mut bytes) = (0, 0);
        for waiting in self.hand.iter().take(self.most) {
            let event = serde_json::to_vec(&event(&waiting.report, &self.token)).expect(VEC);
            bytes += event.len() + 1;
            if events > 0 && bytes > MAX_BYTES {
                break;
            }
            body.write_all(if events == 0 { b"[" } else { b"," }).expect(VEC);
            body.write_all(&event).expect(VEC);
            events += 1;
            if events % BREATH == 0 {
                yield_now().await;
            }
        }
        body.write_all(b"]").expect(VEC);
        Request { body: body.finish().expect(VEC), events }
    }

    fn drop_first(&mut self, events: usize, why: Dropped) {
        self.hand.drain(..events);
        self.counts.drop(why, events);
    }

    /// Makes a pause, as long as Mixpanel wants at least. Returns when it is over.
    fn put_off(&mut self, wanted: Duration) -> Instant {
        let pause = self.backoff * 2_u32.pow(self.failures.min(DOUBLINGS));
        let pause = pause.min(self.backoff * 30) + self.jitter();
        self.failures += 1;
        let until = Instant::now() + pause.max(wanted);
        self.paused_until = Some(until);
        until
    }

    /// So that replicas do not come back as one.
    fn jitter(&self) -> Duration {
        let spread = u64::try_from(self.backoff.as_millis()).unwrap_or(u64::MAX).saturating_mul(2).max(1);
        self.backoff / 2 + Duration::from_millis(self.clock.chance() % spread)
    }

    fn say(&mut self, why: String, what: &'static str) {
        if self.said.as_ref() != Some(&why) {
            tracing::warn!(why, "{what}");
            self.said = Some(why);
        }
    }

    fn well(&mut self) {
        if self.said.take().is_some() {
            tracing::info!("Mixpanel takes reports again");
        }
    }
}

/// Where events are posted. `verbose`: a refusal says why. `ip`: the place of this server is not that of its users.
fn track(mut base: Url) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().push("track");
    }
    base.query_pairs_mut().append_pair("verbose", "1").append_pair("ip", "0");
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_base_is_kept() {
        for (base, url) in [
            ("https://api.mixpanel.com", "https://api.mixpanel.com/track?verbose=1&ip=0"),
            ("https://proxy.example/mp/", "https://proxy.example/mp/track?verbose=1&ip=0"),
            ("https://proxy.example/mp?site=7", "https://proxy.example/mp/track?site=7&verbose=1&ip=0"),
        ] {
            assert_eq!(track(base.parse().unwrap()).as_str(), url);
        }
    }
}
