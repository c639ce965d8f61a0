//! Reading the stream by position: a range of one classroom, and where its topics end. No consumer is made.
//!
//! Any replica of the stream may answer a direct get, and may lag behind; so the end of a range is asked of the leader.
//! Each request is bounded in time, and turns bound how many are asked at once; the wait for a turn is the caller's.

use super::{
    connect::SUBSCRIPTION_CAPACITY,
    error::Error,
    link::{Link, WITHIN},
    message::{Stored, last_header},
};
use async_nats::{StatusCode, client::Request, jetstream::stream::RawMessageErrorKind};
use futures_util::StreamExt;
use presence_api::event::headers;
use presence_core::ids::ClassroomId;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::timeout;

/// More than this cannot be had in one read: a snapshot is cheaper for everybody.
const MAX_MESSAGES: usize = 1_000;
const MAX_BYTES: usize = 1024 * 1024;
/// Messages per answer; with its end mark it fits the answer's queue, whoever is slow.
const BATCH: usize = SUBSCRIPTION_CAPACITY / 4;
/// Messages that are read one by one before a batch is worth its price.
const FEW: usize = 3;
/// A comparison of topics takes no more than this; a classroom with more is compared by what comes live alone.
const COMPARE_BYTES: usize = 4 * 1024 * 1024;

/// The status of the message that ends an answer.
const END_MARK: u16 = 204;

/// An answer of several messages.
#[derive(Default)]
struct Answer {
    messages: Vec<Stored>,
    /// How many more there are behind them.
    more: u64,
    /// The stream's end, as the replica that answered knows it. Only comparisons say it.
    as_of: u64,
}

/// Where each topic of a classroom ends.
pub(super) struct Lasts {
    topics: Vec<(String, u64)>,
    /// The position up to which this is known.
    pub(super) as_of: u64,
}

impl Lasts {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.topics.iter().map(|(topic, seq)| (topic.as_str(), *seq))
    }
}

fn filter(classroom: &ClassroomId) -> String {
    format!("classroom.{classroom}.*")
}

/// Exactly the classroom's messages in `(after, up_to]`, of the stream made at `created`; or `None`, when that cannot
/// be proved.
pub(super) async fn range(
    link: &Link,
    classroom: &ClassroomId,
    (after, up_to): (u64, u64),
    created: Option<&Arc<str>>,
) -> Result<Option<Vec<Stored>>, Error> {
    if link.has_forgotten(after) {
        return Ok(None);
    }
    let turn = link.reads.acquire().await;
    let found = collect(link, classroom, after, up_to).await?;
    // All who wait for the state of the stream share one answer: nobody's turn is kept for it.
    drop(turn);
    // Asked last: what was dropped from the old end while we read is gone from this state too.
    let info = link.info_shared().await?;
    let same = created.is_none_or(|created| **created == info.created);
    Ok(found.filter(|_| same && info.state.holds(after, up_to)))
}

async fn collect(
    link: &Link,
    classroom: &ClassroomId,
    after: u64,
    up_to: u64,
) -> Result<Option<Vec<Stored>>, Error> {
    let mut found: Vec<Stored> = vec![];
    let mut bytes = 0;
    let mut next = after.saturating_add(1);
    // Most classrooms missed nothing or little, and the leader must be asked about the end anyway.
    let mut singles = 0;
    let mut replica_has_more = false;
    while next <= up_to {
        let page = if replica_has_more {
            let answer = next_batch(link, classroom, next, MAX_BYTES - bytes + 1).await?;
            replica_has_more = answer.more > 0;
            answer.messages
        } else {
            let Some(message) = next_at_leader(link, classroom, next).await? else {
                break;
            };
            singles += 1;
            replica_has_more = singles > FEW;
            vec![message]
        };
        next = page.last().map_or(next, |last| last.seq.saturating_add(1));
        found.extend(page.into_iter().filter(|message| message.seq <= up_to));
        bytes = found.iter().map(Stored::size).sum();
        if bytes > MAX_BYTES || found.len() > MAX_MESSAGES {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

async fn next_batch(
    link: &Link,
    classroom: &ClassroomId,
    next: u64,
    max_bytes: usize,
) -> Result<Answer, Error> {
    let request = json!({
        "seq": next, "next_by_subj": filter(classroom), "batch": BATCH, "max_bytes": max_bytes,
    });
    direct_get(link, &request).await
}

async fn next_at_leader(link: &Link, classroom: &ClassroomId, next: u64) -> Result<Option<Stored>, Error> {
    let stream = link.js.get_stream_no_info(&link.options.stream.name).await;
    let get = stream.map_err(Error::answered)?.raw_message_builder();
    match get.sequence(next).next_by_subject(filter(classroom)).send().await {
        Ok(message) => Ok(Some(Stored::read(message).ok_or(Error::Torn)?)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::answered(error)),
    }
}

/// Where each topic of a classroom ends, at `up_to` if that is given; or `None` where they are too many to say.
pub(super) async fn lasts(
    link: &Link,
    classroom: &ClassroomId,
    up_to: Option<u64>,
) -> Result<Option<Lasts>, Error> {
    let mut request =
        json!({ "multi_last": [filter(classroom)], "batch": BATCH, "max_bytes": COMPARE_BYTES });
    if let Some(up_to) = up_to {
        request["up_to_seq"] = up_to.into();
    }
    let _turn = link.reads.acquire().await;
    let answer = match direct_get(link, &request).await {
        Err(Error::Answered { reason }) if reason.starts_with("413") => return Ok(None),
        other => other?,
    };
    let topics = answer.messages.into_iter().map(|message| (message.topic, message.seq));
    Ok(Some(Lasts { topics: topics.collect(), as_of: answer.as_of }).filter(|_| answer.more == 0))
}

async fn direct_get(link: &Link, request: &Value) -> Result<Answer, Error> {
    let asking = answered_in_parts(link, request);
    timeout(WITHIN, asking).await.map_err(|_| Error::TimedOut)?
}

/// A request that is answered by several messages and an end mark.
async fn answered_in_parts(link: &Link, request: &Value) -> Result<Answer, Error> {
    link.connected()?;
    let stream = &link.options.stream.name;
    let inbox = link.client.new_inbox();
    let mut answers = link.client.subscribe(inbox.clone()).await.map_err(Error::answered)?;
    let request = Request::new().payload(request.to_string().into()).inbox(inbox);
    let sent = link.js.send_request(format!("DIRECT.GET.{stream}"), request).await;
    sent.map_err(Error::answered)?;
    let mut answer = Answer::default();
    let mut previous = 0;
    while let Some(message) = answers.next().await {
        match message.status {
            None => {
                let stored = Stored::answered(message, stream).ok_or(Error::Torn)?;
                if stored.previous != previous {
                    return Err(Error::Torn);
                }
                previous = stored.seq;
                answer.messages.push(stored);
            }
            Some(StatusCode::NOT_FOUND) => return Ok(answer),
            Some(StatusCode::NO_RESPONDERS) => {
                link.stream_is_gone();
                return Err(Error::NoStream { stream: stream.clone() });
            }
            Some(status) if status.as_u16() == END_MARK => {
                let number = |name| last_header(message.headers.as_ref()?, name)?.parse().ok();
                answer.more = number("Nats-Num-Pending").ok_or(Error::Torn)?;
                answer.as_of = number("Nats-UpTo-Sequence").unwrap_or(0);
                let whole = number(headers::LAST_SEQUENCE) == Some(previous);
                return if whole { Ok(answer) } else { Err(Error::Torn) };
            }
            Some(status) => {
                let words = message.description.unwrap_or_default();
                return Err(Error::answered(format!("{} {words}", status.as_u16())));
            }
        }
    }
    Err(Error::Torn)
}
