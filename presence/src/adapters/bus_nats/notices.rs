//! What replicas tell all others of an org's clients: one subject of core NATS, no stream.
//!
//! The subject holds the version: what is said otherwise one day is said under another number. Whoever may publish on
//! it can tell any org's hubs and managers anything; `docs/PROTOCOL.md` says whom to allow it.

use super::{error::Error, link::Link};
use crate::ports::{
    Fault,
    notices::{Notice, Notices},
};
use async_nats::Message;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use presence_core::ids::{OrgId, ReplicaId, UserId};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use std::{fmt, future::ready, sync::Arc};
use tokio::task::coop;
use uuid::Uuid;

const SUBJECT: &str = "presence.notice.v1";
/// The longest ids fit twice.
const MAX_BYTES: usize = 1024;
const WHAT: &str = "the other replicas";

/// A replica among others on one NATS.
#[derive(Clone)]
pub struct NatsNotices {
    link: Arc<Link>,
    /// Counts what came on the subject and was no notice.
    garbage: Counter,
}

impl fmt::Debug for NatsNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsNotices").field("link", &self.link).finish_non_exhaustive()
    }
}

/// A notice as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Who tells it: that replica has told its own clients already.
    replica: String,
    event: Event,
    org_id: OrgId,
    user_id: UserId,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    TeacherDisconnect,
    LogOut,
}

impl NatsNotices {
    pub(super) const fn new(link: Arc<Link>, garbage: Counter) -> Self {
        Self { link, garbage }
    }

    fn understand(&self, me: ReplicaId, message: &Message) -> Option<Notice> {
        let Some((from, notice)) = read(&message.payload) else {
            self.garbage.inc();
            tracing::debug!(bytes = message.payload.len(), "skipped a message that is no notice");
            return None;
        };
        (from != me).then_some(notice)
    }
}

#[async_trait]
impl Notices for NatsNotices {
    async fn tell(&self, me: ReplicaId, notice: &Notice) -> Result<(), Fault> {
        let away = |error: Error| Fault::unavailable(WHAT, error);
        // The client would keep it, and send it whenever there is a connection again.
        self.link.connected().map_err(away)?;
        // Without waiting: where the connection's queue is full, the notice is lost.
        let telling = self.link.client.publish(SUBJECT, written(me, notice)?);
        match coop::unconstrained(telling).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(away(Error::answered(error))),
            None => Err(Fault::unavailable(WHAT, "the connection's queue is full")),
        }
    }

    async fn heard(&self, me: ReplicaId) -> Result<BoxStream<'static, Notice>, Fault> {
        // The client subscribes again on every new connection. When its queue is full, notices are lost.
        let heard = self.link.client.subscribe(SUBJECT).await;
        let heard = heard.map_err(|error| Fault::unavailable(WHAT, error))?;
        let this = self.clone();
        Ok(heard.filter_map(move |message| ready(this.understand(me, &message))).boxed())
    }
}

fn written(me: ReplicaId, notice: &Notice) -> Result<Bytes, Fault> {
    let (event, org_id, user_id) = match notice {
        Notice::TeacherDisconnect { org_id, user_id } => (Event::TeacherDisconnect, org_id, user_id),
        Notice::LogOut { org_id, user_id } => (Event::LogOut, org_id, user_id),
    };
    let body = Body { replica: me.to_string(), event, org_id: org_id.clone(), user_id: user_id.clone() };
    serde_json::to_vec(&body).map(Bytes::from).map_err(|error| Fault::failed(WHAT, error))
}

fn read(body: &[u8]) -> Option<(ReplicaId, Notice)> {
    let bounded = Some(body).filter(|body| body.len() <= MAX_BYTES)?;
    let Body { replica, event, org_id, user_id } = serde_json::from_slice(bounded).ok()?;
    let notice = match event {
        Event::TeacherDisconnect => Notice::TeacherDisconnect { org_id, user_id },
        Event::LogOut => Notice::LogOut { org_id, user_id },
    };
    let replica = Uuid::parse_str(&replica).ok()?;
    Some((ReplicaId(replica.as_u128()), notice))
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
