//! The witness: what was on the bus, for the history. It listens to what the stream republishes from the beginning to
//! the end, and reads the stream whole whenever it is about to be lost, and at the end.

use crate::{History, history::now, wait};
use anyhow::{Context, Result};
use async_nats::{HeaderMap, jetstream};
use futures_util::{StreamExt, TryStreamExt, stream};
use presence_api::{
    event::{ENTITY, EventId, headers},
    history::{About, Act, Entry},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::task::JoinSet;
use url::Url;

const STREAM: &str = "classroom";
/// Messages asked for at a time.
const AT_A_TIME: usize = 32;

#[derive(Debug)]
pub struct Witness {
    client: async_nats::Client,
    seen: Arc<Mutex<Seen>>,
    _listening: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By position: when, and what; none: an event that nobody hears.
    events: BTreeMap<u64, (i64, Option<Act>)>,
    whole: Vec<(u64, u64)>,
}

impl Witness {
    pub async fn start(nats: &Url) -> Result<Self> {
        let connecting = async_nats::connect(nats.as_str());
        let client = wait::within("the witness to reach NATS", connecting).await?.context("reach NATS")?;
        let mut live = client.subscribe("presence.live.>").await.context("listen")?;
        client.flush().await.context("listen")?;
        let seen = Arc::<Mutex<Seen>>::default();
        let mut listening = JoinSet::new();
        let takes = seen.clone();
        listening.spawn(async move {
            while let Some(message) = live.next().await {
                let headers = message.headers.unwrap_or_default();
                let position = text(&headers, headers::SEQUENCE).and_then(|seq| seq.parse().ok());
                let Some(seq) = position else { continue };
                let subject = message.subject.strip_prefix("presence.live.").unwrap_or_default();
                let act = published(seq, subject, &headers, &message.payload);
                lock(&takes).events.entry(seq).or_insert((now(), act));
            }
        });
        Ok(Self { client, seen, _listening: listening })
    }

    /// Reads all that the stream holds. What it held is then known whole, whatever becomes of it.
    pub async fn read(&self) -> Result<()> {
        wait::eventually_within(3 * wait::PATIENCE, "the stream to be read", async || self.attempt().await)
            .await
    }

    async fn attempt(&self) -> Result<()> {
        let stream =
            jetstream::new(self.client.clone()).get_stream(STREAM).await.context("find the stream")?;
        let state = stream.cached_info().state.clone();
        if state.messages == 0 {
            return Ok(());
        }
        let (first, last) = (state.first_sequence, state.last_sequence);
        let reads = stream::iter(first..=last).map(|seq| {
            let stream = &stream;
            async move { stream.direct_get(seq).await.with_context(|| format!("read position {seq}")) }
        });
        let messages: Vec<_> = reads.buffered(AT_A_TIME).try_collect().await?;
        let mut seen = lock(&self.seen);
        for message in messages {
            let at =
                i64::try_from(message.time.unix_timestamp_nanos() / 1_000).context("a time of our age")?;
            let subject = message.subject.strip_prefix("classroom.").unwrap_or_default();
            let act = published(message.sequence, subject, &message.headers, &message.payload);
            seen.events.insert(message.sequence, (at, act));
        }
        seen.whole.push((first, last));
        Ok(())
    }

    /// The stream's last position; 0 where there is none.
    pub async fn last(&self) -> Result<u64> {
        let stream =
            jetstream::new(self.client.clone()).get_stream(STREAM).await.context("find the stream")?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// Writes all that was seen.
    pub fn write(&self, history: &History) {
        let seen = lock(&self.seen);
        let actor = || "witness".to_owned();
        for (at, act) in seen.events.values() {
            if let Some(act) = act.clone() {
                history.write(Entry { began: *at, at: *at, actor: actor(), act });
            }
        }
        for (first, last) in seen.whole.iter().copied() {
            history.now("witness", Act::Witnessed { first, last });
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

/// What a message on `{classroom}.{topic}` says; none where it is nobody's to hear.
fn published(seq: u64, subject: &str, map: &HeaderMap, body: &[u8]) -> Option<Act> {
    if text(map, headers::INTERNAL).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let (classroom, _) = subject.split_once('.')?;
    let body: Value = serde_json::from_slice(body).ok()?;
    let (id, payload) = match serde_json::from_value::<EventId>(body["id"].clone()) {
        Ok(id) => (id, body["payload"].clone()),
        Err(_) => (bare(map)?, body),
    };
    let owned = |name| text(map, name).map(str::to_owned);
    let about = About {
        classroom_id: classroom.to_owned(),
        about: payload["agent_id"].as_str().filter(|_| id.entity_type == ENTITY).map(str::to_owned),
        receiver: owned(headers::RECEIVER),
        sender: owned(headers::SENDER),
    };
    Some(Act::Published { seq, id, about })
}

fn bare(map: &HeaderMap) -> Option<EventId> {
    Some(EventId {
        entity_type: text(map, headers::EVENT_TYPE)?.to_owned(),
        operation: text(map, headers::EVENT_OPERATION)?.to_owned(),
        sequence_id: text(map, headers::EVENT_SEQUENCE_ID)?.parse().ok()?,
    })
}
