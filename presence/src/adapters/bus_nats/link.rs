//! What everything on this bus shares: the connection, the stream and what is known of it.
//!
//! The stream is made or checked once per connection, by whoever needs it first; a stream that was deleted under us is
//! made anew in the same way.

use super::{
    backlog::Backlogs,
    connect::Signals,
    error::Error,
    options::Options,
    stream::{self, Fit, Info},
};
use crate::{event::PoisonCounts, ports::clock::Clock};
use async_nats::{
    Client, Statistics,
    connection::State,
    jetstream::{Context, ErrorCode, response::Response},
};
use serde::Serialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// No request takes longer.
pub(super) const WITHIN: Duration = Duration::from_secs(2);
/// Questions at a time; the others wait for their turn, within their own time limit.
const READS: usize = 64;
/// Publishes at a time; likewise.
const PUBLISHES: usize = 256;
/// A stream that could not be made is not tried again sooner.
const RETRY_STREAM_AFTER: Duration = Duration::from_secs(1);
/// No stream moves this far between two messages that we see: another stream, or a forged position.
const JUMP: u64 = 1 << 19;

pub(super) struct Link {
    pub(super) client: Client,
    pub(super) js: Context,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) poison: PoisonCounts,
    pub(super) reads: Semaphore,
    pub(super) backlogs: Backlogs,
    pub(super) publishes: Semaphore,
    signals: Arc<Signals>,
    statistics: Arc<Statistics>,
    infos_begun: AtomicU64,
    /// The last answer to `info_shared` and its number; no answer is one too.
    last_info: tokio::sync::Mutex<Option<(u64, Option<Arc<Info>>)>>,
    /// The connection on which the stream was found good; 0 is none.
    ready_on: AtomicU64,
    /// When it was last tried in vain. The lock lets one try at a time.
    tried: tokio::sync::Mutex<Option<Instant>>,
    /// The highest position of the stream that this process has seen; 0 is none.
    highest: AtomicU64,
    /// The first position that the stream still has, as far as we know: it may have moved on.
    oldest: AtomicU64,
    created: Mutex<Option<Arc<str>>>,
    /// Grows when the stream may have become another one.
    era: AtomicU64,
}

/// On what a subscription's continuity rests: it holds as long as this stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    connection: u64,
    era: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("options", &self.options)
            .field("highest", &self.highest)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        client: Client,
        signals: Arc<Signals>,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let js = async_nats::jetstream::ContextBuilder::new().timeout(WITHIN).build(client.clone());
        Self {
            statistics: client.statistics(),
            client,
            js,
            options,
            clock,
            signals,
            poison: PoisonCounts::default(),
            reads: Semaphore::new(READS),
            backlogs: Backlogs::default(),
            publishes: Semaphore::new(PUBLISHES),
            infos_begun: AtomicU64::new(0),
            last_info: tokio::sync::Mutex::new(None),
            ready_on: AtomicU64::new(0),
            tried: tokio::sync::Mutex::new(None),
            highest: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            created: Mutex::new(None),
            era: AtomicU64::new(0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Nothing is sent without a connection: the client would keep it, and send it whenever there is one again.
    pub(super) fn connected(&self) -> Result<(), Error> {
        if self.is_up() {
            return Ok(());
        }
        Err(Error::NotConnected { reason: self.signals.trouble() })
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.signals.news.subscribe()
    }

    /// Counted before the first message of a new connection is read, so no message can overtake it.
    fn connection(&self) -> u64 {
        self.statistics.connects.load(Ordering::Acquire)
    }

    pub(super) fn ground(&self) -> Ground {
        Ground { connection: self.connection(), era: self.era.load(Ordering::Acquire) }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Acquire)
    }

    pub(super) fn created(&self) -> Option<Arc<str>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_jump(&self, position: u64) -> bool {
        let highest = self.highest();
        highest > 0 && position > highest.saturating_add(JUMP)
    }

    /// The stream is known not to reach back so far.
    pub(super) fn has_forgotten(&self, position: u64) -> bool {
        position.saturating_add(1) < self.oldest.load(Ordering::Acquire)
    }

    /// A position came by, in an ack or live.
    pub(super) fn saw(&self, position: u64) {
        if self.is_jump(position) {
            self.era.fetch_add(1, Ordering::AcqRel);
        }
        self.highest.fetch_max(position, Ordering::AcqRel);
    }

    fn learn(&self, info: &Info) {
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        if created.as_deref() == Some(info.created.as_str()) {
            self.highest.fetch_max(info.state.last_seq, Ordering::AcqRel);
            self.oldest.fetch_max(info.state.first_seq, Ordering::AcqRel);
            return;
        }
        // Another stream, whose positions may even lie below, if a sibling made it.
        *created = Some(info.created.as_str().into());
        self.highest.store(info.state.last_seq, Ordering::Release);
        self.oldest.store(info.state.first_seq, Ordering::Release);
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    /// The stream's state, as its leader knows it.
    pub(super) async fn info(&self) -> Result<Info, Error> {
        self.connected()?;
        let info: Info = self.ask("STREAM.INFO", &()).await?;
        self.learn(&info);
        Ok(info)
    }

    /// As `info`, asked after this call began; those who come while one is asked share the next. After a reconnect they
    /// come by the thousand.
    pub(super) async fn info_shared(&self) -> Result<Arc<Info>, Error> {
        let begun = self.infos_begun.load(Ordering::Acquire);
        let mut last = self.last_info.lock().await;
        let shared = last.as_ref().filter(|(number, _)| *number > begun);
        if let Some((_, info)) = shared {
            return info.clone().ok_or(Error::TimedOut);
        }
        let number = self.infos_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let info = self.info().await.map(Arc::new);
        *last = Some((number, info.as_ref().ok().cloned()));
        info
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        request: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        let name = &self.options.stream.name;
        match self.js.request(format!("{what}.{name}"), request).await? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                self.stream_is_gone();
                Err(Error::NoStream { stream: name.clone() })
            }
            Response::Err { error } => Err(Error::answered(error)),
        }
    }

    /// The next use makes it anew.
    pub(super) fn stream_is_gone(&self) {
        self.ready_on.store(0, Ordering::Release);
    }

    /// The stream is there, and fits; made or amended if need be.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        self.connected()?;
        let is_ready =
            || self.connection() != 0 && self.ready_on.load(Ordering::Acquire) == self.connection();
        if is_ready() {
            return Ok(());
        }
        let mut tried = self.tried.lock().await;
        if is_ready() {
            return Ok(());
        }
        if let Some(at) = *tried {
            // Whoever comes waits its turn here, bounded by its own time limit.
            tokio::time::sleep_until(at + RETRY_STREAM_AFTER).await;
        }
        let connection = self.connection();
        *tried = Some(Instant::now());
        self.make_or_check().await?;
        *tried = None;
        self.ready_on.store(connection, Ordering::Release);
        Ok(())
    }

    async fn make_or_check(&self) -> Result<(), Error> {
        let server = self.client.server_info().version;
        if !self.client.is_server_compatible(2, 12, 0) {
            return Err(Error::OldServer { found: server });
        }
        let info = match self.info().await {
            Err(Error::NoStream { .. }) => self.make().await?,
            other => other?,
        };
        let stream = || self.options.stream.name.clone();
        match stream::fit(&info.config, &self.options.stream) {
            Fit::Yes => Ok(()),
            Fit::No(problems) => Err(Error::Unfit { stream: stream(), problems: problems.join("; ") }),
            Fit::After { config, settings } => {
                let settings = settings.join(", ");
                let amended: Result<Info, Error> = self.ask("STREAM.UPDATE", &config).await;
                match amended {
                    Ok(info) => self.learn(&info),
                    Err(Error::Answered { reason }) => {
                        let stream = stream();
                        return Err(Error::Refused { stream, settings, reason });
                    }
                    Err(other) => return Err(other),
                }
                tracing::info!(stream.name = stream(), settings, "amended a stream that others made");
                Ok(())
            }
        }
    }

    async fn make(&self) -> Result<Info, Error> {
        let options = &self.options.stream;
        let first = stream::first_position(self.clock.wall().as_secs(), self.highest());
        let made: Result<Info, Error> = self.ask("STREAM.CREATE", &stream::made(options, first)).await;
        match made {
            Ok(info) => {
                self.learn(&info);
                tracing::info!(stream.name = options.name, position = first, "made the stream");
                Ok(info)
            }
            // Another replica may have been faster; then there is one by now.
            Err(Error::Answered { reason }) => self.info().await.map_err(|_| Error::Refused {
                stream: options.name.clone(),
                settings: "to make it".to_owned(),
                reason,
            }),
            Err(other) => Err(other),
        }
    }
}
