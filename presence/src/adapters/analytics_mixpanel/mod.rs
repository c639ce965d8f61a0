//! `Analytics` on Mixpanel's HTTP API: `POST /track`, batches of JSON, gzipped.
//!
//! `report` puts into a bounded queue and goes on; one future, which the composition root runs, sends from it, one
//! request at a time (`courier`). What a report looks like there is in `event`, what an answer means in `answer`. A
//! report that is sent twice counts once: its `$insert_id` says that it is the same.

mod answer;
mod counts;
mod courier;
mod event;

pub use counts::{Counts, Dropped};

use super::outbound::{self, UrlError};
use crate::ports::{
    analytics::{Analytics, Report},
    clock::Clock,
};
use courier::{Courier, Place, Waiting};
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    time::timeout,
};

/// What the last reports may take at the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where Mixpanel is, and how much is kept for it. The token is never shown.
#[derive(Clone)]
pub struct MixpanelOptions {
    /// The base of the API; the path `/track` is added to its own.
    pub url: String,
    /// Plain http to elsewhere than loopback.
    pub allow_http: bool,
    pub token: String,
    /// Reports that wait or are being sent, at most.
    pub queue: usize,
    /// How long a report may wait for others to be sent with it.
    pub flush_interval: Duration,
    /// How long a request may take.
    pub timeout: Duration,
    /// For how long a batch is tried again.
    pub patience: Duration,
    /// The first pause after a request that is to be tried again. It doubles with each, up to thirty times as long, and
    /// half to two and a half times as much comes by chance. Mixpanel recommends 2 s to 60 s, and 1 s to 5 s by chance.
    pub backoff: Duration,
}

impl MixpanelOptions {
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            allow_http: false,
            token: token.into(),
            queue: 10_000,
            flush_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            patience: Duration::from_mins(2),
            backoff: Duration::from_secs(2),
        }
    }
}

impl Debug for MixpanelOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MixpanelOptions")
            .field("queue", &self.queue)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("Mixpanel's URL")]
    Url(#[from] UrlError),
    #[error("make an HTTP client for Mixpanel")]
    Client(#[source] reqwest::Error),
    #[error("Mixpanel's token is empty")]
    NoToken,
}

#[derive(Clone)]
pub struct Mixpanel {
    waiting: mpsc::Sender<Waiting>,
    places: Arc<Semaphore>,
    counts: Counts,
    /// Whoever sends holds it. What is being sent stays in it, so that nothing is lost with a future that is dropped.
    courier: Arc<Mutex<Courier>>,
}

impl Debug for Mixpanel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mixpanel").field("queued", &self.counts.queue.get()).finish_non_exhaustive()
    }
}

impl Mixpanel {
    /// Nothing is sent unless somebody polls the future, which never ends. To end it is dropped, and then `flush` sends
    /// what it left.
    pub fn new(
        options: &MixpanelOptions,
        clock: Arc<dyn Clock>,
        counts: Counts,
    ) -> Result<(Self, BoxFuture<'static, ()>), OptionsError> {
        if options.token.is_empty() {
            return Err(OptionsError::NoToken);
        }
        let url = outbound::parse_url(&options.url, options.allow_http)?;
        let client = outbound::client(&url, options.timeout).map_err(OptionsError::Client)?;
        let places = options.queue.clamp(1, Semaphore::MAX_PERMITS);
        // A slot for every place, so the channel is never full for whoever holds one.
        let (waiting, arrived) = mpsc::channel(places);
        let courier = Courier::new(options, (client, url), arrived, (clock, counts.clone()));
        let mixpanel = Self {
            waiting,
            places: Arc::new(Semaphore::new(places)),
            counts,
            courier: Arc::new(Mutex::new(courier)),
        };
        let running = mixpanel.courier.clone();
        let run = async move {
            let mut courier = running.lock().await;
            loop {
                courier.turn().await;
            }
        };
        Ok((mixpanel, run.boxed()))
    }

    /// Sends what is left, once, within two seconds; the rest is dropped and counted. For the end of the process, when
    /// nobody reports any more and `run` has been dropped.
    pub async fn flush(&self) {
        let sending = async { self.courier.lock().await.last_words().await };
        let in_time = timeout(LAST_WORDS, sending).await.is_ok();
        if let Ok(mut courier) = self.courier.try_lock() {
            courier.give_up(in_time);
        }
    }
}

impl Analytics for Mixpanel {
    fn report(&self, mut report: Report) {
        if !event::is_somebody(&report.user_id) {
            return self.counts.drop(Dropped::Invalid, 1);
        }
        event::shorten(&mut report);
        let Ok(permit) = self.places.clone().try_acquire_owned() else {
            return self.counts.drop(Dropped::QueueFull, 1);
        };
        let place = Place::new(permit, &self.counts.queue);
        if self.waiting.try_send(Waiting { report, place }).is_err() {
            self.counts.drop(Dropped::QueueFull, 1);
        }
    }
}
