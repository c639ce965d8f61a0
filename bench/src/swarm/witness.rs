//! The witness: reads what the stream has of a swarm's classrooms, from a position on, and tells it to the history.
//! It makes a consumer for as long as it reads.

use super::{recorder::Recorder, words};
use anyhow::{Context as _, Result, bail};
use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{DeliverPolicy, pull::OrderedConfig},
    },
};
use futures_util::StreamExt;
use presence_api::{
    event::{EventId, headers},
    history::{About, Act, Entry},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

const ACTOR: &str = "witness";
/// A message must come within this, as long as there are more.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the stream's end is looked at, and how long it may keep moving.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const QUIET_WITHIN: Duration = Duration::from_mins(2);
/// So many are read and no more; beyond it the witness fails, for it would not know all.
const MOST: u64 = 20_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Witness {
    jetstream: jetstream::Context,
    stream: String,
    /// `classroom.{name}-`: the subjects that are told.
    prefix: String,
}

/// An event on the stream.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) seq: u64,
    /// When the stream took it, in microseconds.
    pub(crate) at: i64,
    pub(crate) id: EventId,
    pub(crate) about: About,
}

#[derive(Deserialize)]
struct Enveloped<'a> {
    id: EventId,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Witness {
    pub(crate) async fn connect(nats: &str, stream: &str, name: &str) -> Result<Self> {
        let client = async_nats::connect(nats).await.context("connect the witness to NATS")?;
        let jetstream = jetstream::new(client);
        Ok(Self { jetstream, stream: stream.to_owned(), prefix: format!("classroom.{name}-") })
    }

    /// Where the stream begins and ends.
    pub(crate) async fn ends(&self) -> Result<(u64, u64)> {
        let stream = self.jetstream.get_stream(&self.stream).await;
        let stream = stream.with_context(|| format!("look at the stream {}", self.stream))?;
        let state = &stream.cached_info().state;
        Ok((state.first_sequence, state.last_sequence))
    }

    /// Waits until nothing was published for so long. Returns where the stream ends.
    pub(crate) async fn quiet(&self, quiet: Duration) -> Result<u64> {
        let started = Instant::now();
        let (mut end, mut since) = (self.ends().await?.1, Instant::now());
        while since.elapsed() < quiet {
            if started.elapsed() > QUIET_WITHIN {
                bail!("something is still being published after {} s", QUIET_WITHIN.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.ends().await?.1;
            if now != end {
                (end, since) = (now, Instant::now());
            }
        }
        Ok(end)
    }

    /// Everything of the swarm's classrooms after `after`, in order, to the stream's end. Returns from where to where
    /// that is.
    pub(crate) async fn read(&self, after: u64, mut tell: impl FnMut(Published)) -> Result<(u64, u64)> {
        let (first, last) = self.ends().await?;
        let first = first.max(after.saturating_add(1));
        if last.saturating_sub(first) > MOST {
            bail!("the stream has more than {MOST} messages of that time");
        }
        if last < first {
            return Ok((first, last));
        }
        let stream = self.jetstream.get_stream(&self.stream).await.context("look at the stream")?;
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: first };
        let consumer = stream.create_consumer(OrderedConfig { deliver_policy, ..OrderedConfig::default() });
        let mut messages =
            consumer.await.context("read the stream")?.messages().await.context("read the stream")?;
        loop {
            let next = tokio::time::timeout(PATIENCE, messages.next()).await;
            let message =
                next.context("the stream stopped in the middle")?.context("the stream ended early")?;
            let message = message.context("read the stream")?;
            let info =
                message.info().map_err(|error| anyhow::anyhow!("a message without a position: {error}"))?;
            let (seq, pending) = (info.stream_sequence, info.pending);
            let nanos = info.published.unix_timestamp_nanos();
            if let Some((id, about)) = self.understand(&message, seq) {
                tell(Published { seq, at: i64::try_from(nanos / 1000).unwrap_or(i64::MAX), id, about });
            }
            if seq >= last || pending == 0 {
                return Ok((first, last));
            }
        }
    }

    /// Into the history, with what is known whole.
    pub(crate) async fn tell(&self, after: u64, recorder: &Recorder, now: i64) -> Result<u64> {
        let mut count = 0;
        let write = |began, at, act| recorder.write(&Entry { began, at, actor: ACTOR.into(), act });
        let (first, last) = self
            .read(after, |Published { seq, at, id, about }| {
                count += 1;
                write(at, at, Act::Published { seq, id, about });
            })
            .await?;
        if first <= last {
            write(now, now, Act::Witnessed { first, last });
        }
        Ok(count)
    }

    /// As presence does: `{id, payload}`, or a bare payload with the id in the headers. None: not of this swarm, no
    /// event, or an internal one.
    fn understand(&self, message: &async_nats::Message, seq: u64) -> Option<(EventId, About)> {
        if !message.subject.starts_with(&self.prefix) {
            return None;
        }
        let classroom = message.subject.split('.').nth(1)?;
        let none = HeaderMap::new();
        let map = message.headers.as_ref().unwrap_or(&none);
        let header = |name: &str| map.get(name).map(ToString::to_string);
        if header(headers::INTERNAL).is_some_and(|internal| internal.eq_ignore_ascii_case("true")) {
            return None;
        }
        let enveloped = serde_json::from_slice::<Enveloped<'_>>(&message.payload);
        let event = if let Ok(Enveloped { id, payload }) = enveloped {
            words::event(id, seq, payload.get(), classroom)
        } else {
            let id = EventId {
                entity_type: header(headers::EVENT_TYPE)?,
                operation: header(headers::EVENT_OPERATION)?,
                sequence_id: header(headers::EVENT_SEQUENCE_ID)?.parse().ok()?,
            };
            words::event(id, seq, std::str::from_utf8(&message.payload).ok()?, classroom)
        };
        // Whom it is for is what the headers say.
        let about =
            About { receiver: header(headers::RECEIVER), sender: header(headers::SENDER), ..event.about };
        Some((event.id, about))
    }
}
