//! What replicas ask of each other, as requests of core NATS: one subject and one subscription per replica, no stream.
//!
//! The subject holds the version: what is said otherwise one day is said under another number. Whoever may publish
//! under `presence.peer.>` can close any socket; `docs/PROTOCOL.md` says whom to allow it.

use super::{error::Error, link::Link};
use crate::ports::{
    Fault,
    peers::{Answer, Ask, Asked, Peers, Why},
};
use async_nats::{Client, Message, client::Request, client::RequestErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use presence_core::{
    ids::{AgentId, ClassroomId, Generation, ReplicaId, SessionId, SessionKey},
    session::Held,
};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use std::{fmt, future::ready, sync::Arc, time::Duration};
use tokio::{task::coop, time::timeout};

/// From the ask to its answer, whatever NATS and the other replica do.
const WITHIN: Duration = Duration::from_millis(300);
/// The longest ids, escaped, fit twice.
const MAX_ASK_BYTES: usize = 4 * 1024;
const MAX_ANSWER_BYTES: usize = 256;
const WHAT: &str = "another replica";

/// A replica among others on one NATS.
#[derive(Clone)]
pub struct NatsPeers {
    link: Arc<Link>,
    /// Counts what came to this replica and was no ask.
    garbage: Counter,
}

impl fmt::Debug for NatsPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPeers").field("link", &self.link).finish_non_exhaustive()
    }
}

/// An ask as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskBody {
    agent_id: AgentId,
    classroom_id: ClassroomId,
    session_id: SessionId,
    generation: Generation,
    why: Word,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Replaced,
    Evicted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerBody<'a> {
    answer: &'a str,
}

fn subject(replica: ReplicaId) -> String {
    format!("presence.peer.v1.{replica}")
}

impl NatsPeers {
    pub(super) const fn new(link: Arc<Link>, garbage: Counter) -> Self {
        Self { link, garbage }
    }

    async fn request(&self, replica: ReplicaId, body: Bytes) -> Result<Message, Error> {
        // The client would keep it, and send it whenever there is a connection again.
        self.link.connected()?;
        let client = &self.link.client;
        // An inbox of its own, which goes with the ask: in the one that the client shares among all requests, those
        // that are never answered stay for ever.
        let request = Request::new().payload(body).inbox(client.new_inbox()).timeout(Some(WITHIN));
        client.send_request(subject(replica), request).await.map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => Error::TimedOut,
            RequestErrorKind::NoResponders => Error::answered("nobody listens for that replica"),
            _ => Error::answered(error),
        })
    }
}

#[async_trait]
impl Peers for NatsPeers {
    async fn ask(&self, replica: ReplicaId, ask: &Ask) -> Result<Answer, Fault> {
        let asking = self.request(replica, written(ask)?);
        let answered = timeout(WITHIN, asking).await.unwrap_or(Err(Error::TimedOut));
        let message = answered.map_err(|error| Fault::unavailable(WHAT, error))?;
        read_answer(&message.payload).ok_or_else(|| Fault::failed(WHAT, "its answer is not understood"))
    }

    async fn asked(&self, me: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault> {
        // The client subscribes again on every new connection. When its queue is full, asks are lost; whoever asks
        // waits in vain, and goes on.
        let asks = self.link.client.subscribe(subject(me)).await;
        let asks = asks.map_err(|error| Fault::unavailable(WHAT, error))?;
        let this = self.clone();
        Ok(asks.filter_map(move |message| ready(this.understand(message))).boxed())
    }
}

impl NatsPeers {
    fn understand(&self, message: Message) -> Option<Asked> {
        let understood = read_ask(&message.payload).zip(message.reply);
        let Some((ask, back)) = understood else {
            self.garbage.inc();
            tracing::debug!(bytes = message.payload.len(), "skipped a message that is no ask");
            return None;
        };
        let client = self.link.client.clone();
        let answer = move |answer: Answer| send(&client, back, written_answer(answer));
        Some(Asked { ask, answer: Box::new(answer) })
    }
}

/// Without waiting: where the connection's queue is full, the answer is lost.
fn send(client: &Client, to: async_nats::Subject, body: Bytes) {
    let sent = coop::unconstrained(client.publish(to, body)).now_or_never();
    if !matches!(sent, Some(Ok(()))) {
        tracing::debug!("an answer to another replica was lost");
    }
}

fn written(ask: &Ask) -> Result<Bytes, Fault> {
    let body = AskBody {
        agent_id: ask.key.agent_id.clone(),
        classroom_id: ask.key.classroom_id.clone(),
        session_id: ask.held.session_id,
        generation: ask.held.generation,
        why: match ask.why {
            Why::Replaced => Word::Replaced,
            Why::Evicted => Word::Evicted,
        },
    };
    serde_json::to_vec(&body).map(Bytes::from).map_err(|error| Fault::failed(WHAT, error))
}

fn read_ask(body: &[u8]) -> Option<Ask> {
    let bounded = Some(body).filter(|body| body.len() <= MAX_ASK_BYTES)?;
    let body: AskBody = serde_json::from_slice(bounded).ok()?;
    let why = match body.why {
        Word::Replaced => Why::Replaced,
        Word::Evicted => Why::Evicted,
    };
    let key = SessionKey { agent_id: body.agent_id, classroom_id: body.classroom_id };
    Some(Ask { key, held: Held { session_id: body.session_id, generation: body.generation }, why })
}

fn written_answer(answer: Answer) -> Bytes {
    format!(r#"{{"answer":"{}"}}"#, answer.as_str()).into()
}

fn read_answer(body: &[u8]) -> Option<Answer> {
    let bounded = Some(body).filter(|body| body.len() <= MAX_ANSWER_BYTES)?;
    let said: AnswerBody<'_> = serde_json::from_slice(bounded).ok()?;
    Answer::ALL.into_iter().find(|answer| answer.as_str() == said.answer)
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
