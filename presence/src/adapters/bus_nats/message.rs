//! A message of the stream, live or read: where it stands, and the event in it if it is one.

use super::{link::Link, stream::LIVE};
use crate::event::{Event, Raw};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use presence_api::event::headers;
use presence_core::ids::ClassroomId;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) topic: String,
    pub(super) seq: u64,
    /// Where the previous message stands: of its subject if it came live, of the answer if it was read in one.
    pub(super) previous: u64,
    body: Bytes,
    headers: HeaderMap,
}

impl Stored {
    /// From the live path. `None`: the stream did not publish it again, so it is not our business.
    pub(super) fn live(message: Message, stream: &str) -> Option<Self> {
        let topic = message.subject.strip_prefix(LIVE)?.rsplit_once('.')?.1.to_owned();
        Self::new(topic, message, stream)
    }

    /// From an answer of a direct get.
    pub(super) fn answered(message: Message, stream: &str) -> Option<Self> {
        let subject = last_header(message.headers.as_ref()?, "Nats-Subject")?;
        let topic = subject.rsplit_once('.')?.1.to_owned();
        Self::new(topic, message, stream)
    }

    fn new(topic: String, message: Message, stream: &str) -> Option<Self> {
        let headers = message.headers?;
        let number = |name| last_header(&headers, name)?.parse().ok();
        if last_header(&headers, "Nats-Stream")? != stream {
            return None;
        }
        Some(Self {
            topic,
            seq: number(headers::SEQUENCE)?,
            previous: number(headers::LAST_SEQUENCE)?,
            body: message.payload,
            headers,
        })
    }

    /// From the leader's answer to a get, which carries the position beside the message.
    pub(super) fn read(message: async_nats::jetstream::message::StreamMessage) -> Option<Self> {
        Some(Self {
            topic: message.subject.rsplit_once('.')?.1.to_owned(),
            seq: message.sequence,
            previous: 0,
            body: message.payload,
            headers: message.headers,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.topic.len() + self.body.len()
    }

    /// `None`: no event, and counted as such.
    pub(super) fn event(&self, classroom: &ClassroomId, link: &Link) -> Option<Arc<Event>> {
        let subject = format!("classroom.{classroom}.{}", self.topic);
        let header = |name: &str| self.headers.get(name).map(async_nats::HeaderValue::as_str);
        let raw = Raw { subject: &subject, seq: self.seq, body: &self.body, header: &header };
        match Event::decode(&raw) {
            Ok(event) => Some(Arc::new(event)),
            Err(poison) => {
                link.poison.count(poison);
                tracing::debug!(classroom.id = %classroom, position = self.seq, reason = poison.as_str(), "skipped a message that is no event");
                None
            }
        }
    }
}

/// The server adds its headers behind the publisher's, who may have forged one of the same name.
pub(super) fn last_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_last(name).map(async_nats::HeaderValue::as_str)
}
