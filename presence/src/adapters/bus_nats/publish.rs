//! Publishing our own events: once, kept, and answered in bounded time. Never into a buffer: what a client library
//! sends minutes later is a duplicate that nobody recognises any more.
//!
//! One race is left: a connection that breaks between the check and the send. Such a message is sent after the
//! reconnect; the duplicate window, longer than any retry, takes care of it.

use super::{
    error::Error,
    link::{Link, WITHIN},
};
use crate::{event::Encoded, ports::bus::Outgoing};
use async_nats::{HeaderMap, jetstream::context::PublishErrorKind};
use presence_api::event::headers;
use tokio::time::timeout;

/// A message for another stream is refused, rather than kept where nobody looks.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

pub(super) async fn publish(link: &Link, event: &Outgoing) -> Result<u64, Error> {
    let encoded = Encoded::new(event.operation, event.session_id, &event.key, link.options.event_body);
    let publishing = async {
        let _turn = link.publishes.acquire().await;
        link.ready().await?;
        match send(link, &encoded).await {
            // It was deleted under us; once it is there again, so is the way to it.
            Err(Error::NoStream { .. }) => {
                link.ready().await?;
                send(link, &encoded).await
            }
            other => other,
        }
    };
    timeout(WITHIN, publishing).await.map_err(|_| Error::TimedOut)?
}

async fn send(link: &Link, encoded: &Encoded) -> Result<u64, Error> {
    let stream = &link.options.stream.name;
    let mut sent = HeaderMap::new();
    sent.insert(headers::MSG_ID, encoded.message_id.as_str());
    sent.insert(EXPECTED_STREAM, stream.as_str());
    for (name, value) in &encoded.headers {
        sent.insert(*name, value.as_str());
    }
    link.connected()?;
    let (subject, body) = (encoded.subject.clone(), encoded.body.clone());
    let acked = match link.js.publish_with_headers(subject, sent, body).await {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match acked {
        Ok(ack) => {
            link.saw(ack.sequence);
            Ok(ack.sequence)
        }
        Err(error) => Err(match error.kind() {
            PublishErrorKind::StreamNotFound => {
                link.stream_is_gone();
                Error::NoStream { stream: stream.clone() }
            }
            PublishErrorKind::TimedOut => Error::TimedOut,
            _ => Error::answered(error),
        }),
    }
}
