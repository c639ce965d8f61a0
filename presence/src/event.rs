//! A classroom event inside this process: decoded once, encoded once, shared by every socket that gets it.
//!
//! What a message on a bus must look like is known here and nowhere else, in both directions; which bus carries it is not.

use bytes::Bytes;
use presence_api::event::{AgentPayload, ENTITY, Envelope, EventId, Operation, headers};
use presence_core::ids::{ClassroomId, SessionId, SessionKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// In which words a socket hears: those of its door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// JSON in text frames.
    Native,
    /// Socket.IO events in Engine.IO packets.
    SocketIo,
}

/// One thing, said in every tongue.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub native: Bytes,
    pub packet: Bytes,
}

impl Spoken {
    pub const fn to(&self, tongue: Tongue) -> &Bytes {
        match tongue {
            Tongue::Native => &self.native,
            Tongue::SocketIo => &self.packet,
        }
    }
}

/// An event as it goes to sockets.
#[derive(Debug, Clone)]
pub struct Event {
    pub classroom_id: ClassroomId,
    /// The last token of its subject: `agent` for ours.
    pub topic: String,
    /// Where it stands in the stream.
    pub seq: u64,
    pub id: EventId,
    pub payload: Box<RawValue>,
    /// It is not sent back to this agent.
    pub sender: Option<String>,
    /// It is sent to this agent alone.
    pub receiver: Option<String>,
    /// It is sent to nobody: services talk among themselves.
    pub internal: bool,
    /// The native door's text frame, ready to send.
    pub frame: Bytes,
    /// The Socket.IO door's, made when the first socket there needs it.
    packet: OnceLock<Bytes>,
}

/// Why a message is no event. Counted by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Poison {
    #[error("the subject is not classroom.{{classroom_id}}.{{topic}}")]
    Subject,
    #[error("the body is not JSON in UTF-8")]
    Body,
    #[error("neither the body nor the headers carry the event's id")]
    Id,
    #[error("the message is larger than a socket may be sent")]
    TooLarge,
}

impl Poison {
    pub const ALL: [Self; 4] = [Self::Subject, Self::Body, Self::Id, Self::TooLarge];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Body => "body",
            Self::Id => "id",
            Self::TooLarge => "too_large",
        }
    }
}

/// How many messages were no events, by why.
#[derive(Debug, Default)]
pub struct PoisonCounts([AtomicU64; 4]);

impl PoisonCounts {
    pub fn count(&self, poison: Poison) {
        self.0[poison as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self, poison: Poison) -> u64 {
        self.0[poison as usize].load(Ordering::Relaxed)
    }
}

/// A larger event could fill a socket's whole queue.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A message as it came from a bus, before anybody has trusted it.
pub struct Raw<'a> {
    pub subject: &'a str,
    pub seq: u64,
    pub body: &'a [u8],
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("subject", &self.subject).field("seq", &self.seq).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Enveloped {
    id: EventId,
    payload: Box<RawValue>,
}

#[derive(Serialize)]
struct NativeFrame<'a> {
    id: &'a EventId,
    payload: &'a RawValue,
    seq: u64,
}

impl Event {
    /// Understands both shapes of body: `{id, payload}`, or a bare payload with the id in headers.
    pub fn decode(raw: &Raw<'_>) -> Result<Self, Poison> {
        let (classroom_id, topic) = split_subject(raw.subject).ok_or(Poison::Subject)?;
        if raw.body.len() > MAX_BODY_BYTES {
            return Err(Poison::TooLarge);
        }
        let (id, payload) = match serde_json::from_slice::<Enveloped>(raw.body) {
            Ok(Enveloped { id, payload }) => (id, payload),
            Err(_) => bare(raw)?,
        };
        let text = |name| (raw.header)(name).map(str::to_owned);
        let frame = NativeFrame { id: &id, payload: &payload, seq: raw.seq };
        let frame = serde_json::to_vec(&frame).map_err(|_| Poison::Body)?.into();
        Ok(Self {
            classroom_id,
            topic: topic.to_owned(),
            seq: raw.seq,
            sender: text(headers::SENDER),
            receiver: text(headers::RECEIVER),
            internal: (raw.header)(headers::INTERNAL).is_some_and(|v| v.eq_ignore_ascii_case("true")),
            id,
            payload,
            frame,
            packet: OnceLock::new(),
        })
    }

    /// What a socket that speaks `tongue` is sent. Made once, shared by all.
    pub fn frame_for(&self, tongue: Tongue) -> &Bytes {
        match tongue {
            Tongue::Native => &self.frame,
            Tongue::SocketIo => self.packet.get_or_init(|| packet("event", &self.frame, Some(self.seq))),
        }
    }

    /// Whether this agent's socket gets it.
    pub fn is_for(&self, agent_id: &str) -> bool {
        !self.internal
            && self.sender.as_deref() != Some(agent_id)
            && self.receiver.as_deref().is_none_or(|receiver| receiver == agent_id)
    }
}

/// What the body of our own events looks like. Others' are understood in both shapes, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// `{"id":…,"payload":…}`
    #[default]
    Envelope,
    /// The payload alone; its id is in the headers, where sibling services read it.
    Payload,
}

/// One of our own events, ready for a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub subject: String,
    /// The bus keeps one message with this id, however often it is published within the duplicate window.
    pub message_id: String,
    /// All but the message id.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Encoded {
    pub fn new(operation: Operation, session_id: SessionId, key: &SessionKey, body: Body) -> Self {
        let id = EventId::agent(operation, session_id);
        let headers = vec![
            (headers::EVENT_TYPE, id.entity_type.clone()),
            (headers::EVENT_OPERATION, id.operation.clone()),
            (headers::EVENT_SEQUENCE_ID, id.sequence_id.to_string()),
            (headers::SENDER, key.agent_id.to_string()),
            (headers::INTERNAL, "false".to_owned()),
        ];
        let payload = AgentPayload::new(operation, &key.agent_id);
        let body = match body {
            Body::Envelope => serde_json::to_vec(&Envelope { id, payload }),
            Body::Payload => serde_json::to_vec(&payload),
        };
        Self {
            subject: format!("classroom.{}.{ENTITY}", key.classroom_id),
            message_id: format!("{session_id}:{}", operation.as_str()),
            headers,
            body: body.expect("texts and numbers always serialize").into(),
        }
    }
}

/// A Socket.IO event with one argument, which is JSON, as an Engine.IO message of the main namespace. With `offset` its
/// client can ask for what came after it (connection state recovery).
pub fn packet(name: &str, argument: &[u8], offset: Option<u64>) -> Bytes {
    let offset = offset.map(|offset| format!(",\"{offset}\"")).unwrap_or_default();
    [b"42[\"", name.as_bytes(), b"\",", argument, offset.as_bytes(), b"]"].concat().into()
}

fn split_subject(subject: &str) -> Option<(ClassroomId, &str)> {
    let (classroom, topic) = subject.strip_prefix("classroom.")?.split_once('.')?;
    let topic_is_one_token = !topic.is_empty() && !topic.contains('.');
    topic_is_one_token.then_some(())?;
    Some((classroom.parse().ok()?, topic))
}

fn bare(raw: &Raw<'_>) -> Result<(EventId, Box<RawValue>), Poison> {
    let payload = serde_json::from_slice(raw.body).map_err(|_| Poison::Body)?;
    let header = |name| (raw.header)(name).ok_or(Poison::Id);
    let sequence_id = header(headers::EVENT_SEQUENCE_ID)?.parse().map_err(|_| Poison::Id)?;
    let id = EventId {
        entity_type: header(headers::EVENT_TYPE)?.to_owned(),
        operation: header(headers::EVENT_OPERATION)?.to_owned(),
        sequence_id,
    };
    Ok((id, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(subject: &str, body: &str, pairs: &[(&str, &str)]) -> Result<Event, Poison> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let header = |name: &str| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        // The closure borrows `pairs` for the call alone.
        Event::decode(&Raw { subject, seq: 9, body: body.as_bytes(), header: &header })
    }

    const BARE: [(&str, &str); 3] = [
        (headers::EVENT_TYPE, "note"),
        (headers::EVENT_OPERATION, "added"),
        (headers::EVENT_SEQUENCE_ID, "3"),
    ];

    #[test]
    fn both_shapes_become_the_same_frame() {
        let id = r#"{"entity_type":"note","operation":"added","sequence_id":3}"#;
        let enveloped =
            decode("classroom.c.chat", &format!(r#"{{"id":{id},"payload":{{"a":1}}}}"#), &[]).unwrap();
        let bare = decode("classroom.c.chat", r#"{"a":1}"#, &BARE).unwrap();
        assert_eq!(enveloped.frame, format!(r#"{{"id":{id},"payload":{{"a":1}},"seq":9}}"#));
        assert_eq!(enveloped.frame, bare.frame);
    }

    #[test]
    fn an_event_is_a_socket_io_packet_with_its_offset() {
        let event = decode("classroom.c.chat", r#"{"a":1}"#, &BARE).unwrap();
        let native = String::from_utf8(event.frame_for(Tongue::Native).to_vec()).unwrap();
        assert_eq!(event.frame_for(Tongue::SocketIo), format!(r#"42["event",{native},"9"]"#).as_bytes());
    }

    #[test]
    fn a_message_that_is_no_event_says_why() {
        assert_eq!(decode("classroom.c", "{}", &BARE).unwrap_err(), Poison::Subject);
        assert_eq!(decode("classroom.c.a.b", "{}", &BARE).unwrap_err(), Poison::Subject);
        assert_eq!(decode("classroom.c.a", "{", &BARE).unwrap_err(), Poison::Body);
        assert_eq!(decode("classroom.c.a", "{}", &[]).unwrap_err(), Poison::Id);
        assert_eq!(
            decode("classroom.c.a", &" ".repeat(MAX_BODY_BYTES + 1), &BARE).unwrap_err(),
            Poison::TooLarge
        );
    }

    fn ours(body: Body) -> Encoded {
        let key = SessionKey {
            agent_id: "web.Z2lkOi8vMTg=.school.example".parse().unwrap(),
            classroom_id: "math-7".parse().unwrap(),
        };
        Encoded::new(Operation::Entered, SessionId(7), &key, body)
    }

    #[test]
    fn our_own_event_is_worded_as_the_protocol_says() {
        let encoded = ours(Body::Envelope);
        assert_eq!(encoded.subject, "classroom.math-7.agent");
        assert_eq!(encoded.message_id, "7:entered");
        assert_eq!(
            encoded.body,
            r#"{"id":{"entity_type":"agent","operation":"entered","sequence_id":7},"payload":{"version":"v1","entity_type":"agent","label":"entered","agent_id":"web.Z2lkOi8vMTg=.school.example"}}"#
        );
    }

    #[test]
    fn our_own_event_reads_the_same_in_both_shapes() {
        let read = |encoded: &Encoded| {
            let body = std::str::from_utf8(&encoded.body).unwrap();
            let pairs: Vec<_> = encoded.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            decode(&encoded.subject, body, &pairs).unwrap()
        };
        let (enveloped, bare) = (read(&ours(Body::Envelope)), read(&ours(Body::Payload)));
        assert_eq!(enveloped.frame, bare.frame);
        assert_eq!(bare.id, EventId::agent(Operation::Entered, SessionId(7)));
        assert!(!bare.is_for("web.Z2lkOi8vMTg=.school.example"));
        assert!(bare.is_for("web.b.school.example"));
    }

    #[test]
    fn forwarding_knows_sender_receiver_and_internal() {
        let event = |pairs: &[(&str, &str)]| decode("classroom.c.a", "{}", &[&BARE, pairs].concat()).unwrap();
        assert!(event(&[]).is_for("web.a.b"));
        assert!(!event(&[(headers::SENDER, "web.a.b")]).is_for("web.a.b"));
        assert!(event(&[(headers::RECEIVER, "web.a.b")]).is_for("web.a.b"));
        assert!(!event(&[(headers::RECEIVER, "web.x.b")]).is_for("web.a.b"));
        assert!(!event(&[(headers::INTERNAL, "true")]).is_for("web.a.b"));
        assert!(event(&[(headers::INTERNAL, "false")]).is_for("web.a.b"));
    }
}
