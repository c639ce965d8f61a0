//! A sibling service on NATS: it publishes events in both shapes, and whatever else may come along.

use crate::wait;
use anyhow::{Context, Result};
use async_nats::{HeaderMap, jetstream};
use futures_util::StreamExt;
use presence_api::event::headers;
use serde_json::{Value, json};
use url::Url;

#[derive(Debug, Clone)]
pub struct Publisher {
    client: async_nats::Client,
    jetstream: jetstream::Context,
}

/// A sibling service that reads our events of one classroom.
#[derive(Debug)]
pub struct Witness {
    subscription: async_nats::Subscriber,
}

/// A message as it is on the bus.
#[derive(Debug, Clone)]
pub struct Published {
    pub subject: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Witness {
    pub async fn next(&mut self) -> Result<Published> {
        let message = wait::within("a message on the bus", self.subscription.next()).await?;
        let message = message.context("the subscription ended")?;
        Ok(Published {
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            body: serde_json::from_slice(&message.payload).context("a body is JSON")?,
        })
    }
}

/// An event of a service that is not us.
#[derive(Debug, Clone)]
pub struct Foreign<'a> {
    pub classroom: &'a str,
    pub sequence_id: i64,
    pub payload: Value,
    pub sender: &'a str,
    pub receiver: Option<&'a str>,
    pub internal: bool,
}

pub const ENTITY: &str = "note";
pub const OPERATION: &str = "added";

impl<'a> Foreign<'a> {
    pub fn new(classroom: &'a str, sequence_id: i64) -> Self {
        let payload = json!({ "text": format!("note {sequence_id}") });
        Self { classroom, sequence_id, payload, sender: "notes.svc.example", receiver: None, internal: false }
    }

    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(headers::SENDER, self.sender);
        map.insert(headers::INTERNAL, if self.internal { "true" } else { "false" });
        if let Some(receiver) = self.receiver {
            map.insert(headers::RECEIVER, receiver);
        }
        map
    }
}

impl Publisher {
    pub async fn connect(url: &Url) -> Result<Self> {
        let connecting = async_nats::connect(url.as_str());
        let client = wait::within("a connection to NATS", connecting).await?.context("connect to NATS")?;
        Ok(Self { jetstream: jetstream::new(client.clone()), client })
    }

    /// Reads what is said of our own in a classroom from here on.
    pub async fn witness(&self, classroom: &str) -> Result<Witness> {
        let subscription = self.client.subscribe(format!("classroom.{classroom}.agent")).await?;
        self.client.flush().await.context("subscribe")?;
        Ok(Witness { subscription })
    }

    /// The payload alone; the id is in the headers.
    pub async fn bare(&self, event: &Foreign<'_>) -> Result<u64> {
        let mut map = event.headers();
        map.insert(headers::EVENT_TYPE, ENTITY);
        map.insert(headers::EVENT_OPERATION, OPERATION);
        map.insert(headers::EVENT_SEQUENCE_ID, event.sequence_id.to_string().as_str());
        self.publish(event.classroom, map, event.payload.to_string().into_bytes()).await
    }

    /// A body with `id` and `payload`.
    pub async fn enveloped(&self, event: &Foreign<'_>) -> Result<u64> {
        let id = json!({ "entity_type": ENTITY, "operation": OPERATION, "sequence_id": event.sequence_id });
        let body = json!({ "id": id, "payload": event.payload }).to_string();
        self.publish(event.classroom, event.headers(), body.into_bytes()).await
    }

    /// Anything at all. Returns its position in the stream.
    pub async fn publish(&self, classroom: &str, map: HeaderMap, body: Vec<u8>) -> Result<u64> {
        let subject = format!("classroom.{classroom}.{ENTITY}");
        let publishing = async {
            let acked = self.jetstream.publish_with_headers(subject, map, body.into()).await;
            Ok(acked.context("publish")?.await.context("publish, and have it kept")?.sequence)
        };
        wait::within("an event to be kept", publishing).await?
    }
}
