//! What a server says in a text frame, as far as a swarm cares. Whatever it does not know is passed over, as a client
//! of an older version would.

use presence_api::{
    event::{ENTITY, EventId},
    frames::SessionError,
    history::About,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The entity type of the swarm's own events.
pub(crate) const OURS: &str = "swarm";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    Welcome(Welcome),
    Event(Event),
    Resync {
        seq: u64,
        agents_total: u64,
    },
    /// `terminated` and all other errors.
    Error {
        kind: String,
        reconnect_after_ms: Option<u64>,
    },
    Unknown,
}

/// `connect_success`, without its agents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) session_id: i64,
    pub(crate) resumed: bool,
    pub(crate) replica: String,
    pub(crate) seq: u64,
    pub(crate) agents_total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) id: EventId,
    /// What it says of itself.
    pub(crate) about: About,
    /// When it was due, on the swarm's clock: of the swarm's own.
    pub(crate) due: Option<i64>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    id: Option<EventId>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Snapshot {
    seq: u64,
    agents_total: u64,
}

#[derive(Default, Deserialize)]
struct Payload {
    agent_id: Option<String>,
    due: Option<i64>,
    receiver: Option<String>,
    sender: Option<String>,
}

/// None: it is not JSON, or not worded as the protocol says.
pub(crate) fn understand(text: &[u8], classroom: &str) -> Option<Words> {
    let frame: Frame<'_> = serde_json::from_slice(text).ok()?;
    let payload = frame.payload.map(RawValue::get);
    let Some(kind) = frame.kind else {
        let (id, seq, payload) = (frame.id?, frame.seq?, payload?);
        return Some(Words::Event(event(id, seq, payload, classroom)));
    };
    Some(match &*kind {
        "connect_success" => Words::Welcome(serde_json::from_str(payload?).ok()?),
        "resync" => {
            let Snapshot { seq, agents_total } = serde_json::from_str(payload?).ok()?;
            Words::Resync { seq, agents_total }
        }
        "recoverable_session_error" | "unrecoverable_session_error" => {
            let error: SessionError = serde_json::from_str(payload?).ok()?;
            Words::Error { kind: error.kind, reconnect_after_ms: error.reconnect_after_ms }
        }
        _ => Words::Unknown,
    })
}

/// A payload is its service's own; of presence's and the swarm's something is known.
pub(crate) fn event(id: EventId, seq: u64, payload: &str, classroom: &str) -> Event {
    let known = matches!(&*id.entity_type, ENTITY | OURS);
    let payload: Payload =
        if known { serde_json::from_str(payload).unwrap_or_default() } else { Payload::default() };
    let about = About {
        classroom_id: classroom.to_owned(),
        about: payload.agent_id,
        receiver: payload.receiver,
        sender: payload.sender,
    };
    Event { seq, id, about, due: payload.due }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> Option<Words> {
        understand(text.as_bytes(), "math")
    }

    #[test]
    fn a_welcome_is_understood_whoever_is_there() {
        let text = r#"{"type":"connect_success","payload":{"session_id":7,"resumed":true,"replica":"r-0",
            "seq":9,"agents":[{"id":7,"agent_id":"a.b.c"}],"agents_total":1,"new":{}}}"#;
        let welcome =
            Welcome { session_id: 7, resumed: true, replica: "r-0".into(), seq: 9, agents_total: 1 };
        assert_eq!(understood(text), Some(Words::Welcome(welcome)));
    }

    #[test]
    fn an_event_says_whom_it_is_about() {
        let text = r#"{"id":{"entity_type":"agent","operation":"left","sequence_id":8},
            "payload":{"version":"v1","entity_type":"agent","label":"left","agent_id":"web.\"b\".c"},"seq":12}"#;
        let Some(Words::Event(event)) = understood(text) else { panic!() };
        assert_eq!((event.seq, event.due), (12, None));
        assert_eq!(event.about.about.as_deref(), Some("web.\"b\".c"));
        assert_eq!(event.about.classroom_id, "math");
    }

    #[test]
    fn another_services_payload_is_not_looked_into() {
        let text = r#"{"id":{"entity_type":"note","operation":"added","sequence_id":8},
            "payload":{"agent_id":5},"seq":12}"#;
        let Some(Words::Event(event)) = understood(text) else { panic!() };
        assert_eq!(event.about.about, None);
    }

    #[test]
    fn errors_and_resyncs_are_understood_and_news_is_passed_over() {
        let told = r#"{"type":"recoverable_session_error","payload":{"type":"terminated","title":"terminated",
            "status":422,"reconnect_after_ms":40,"reason":"shutdown"}}"#;
        let words = Words::Error { kind: "terminated".into(), reconnect_after_ms: Some(40) };
        assert_eq!(understood(told), Some(words));
        let resync = r#"{"type":"resync","payload":{"seq":5,"agents":[],"agents_total":0}}"#;
        assert_eq!(understood(resync), Some(Words::Resync { seq: 5, agents_total: 0 }));
        assert_eq!(understood(r#"{"type":"weather","payload":{}}"#), Some(Words::Unknown));
        for bad in ["{", "{}", r#"{"type":"resync"}"#, r#"{"id":{"entity_type":"a"},"payload":1,"seq":1}"#] {
            assert_eq!(understood(bad), None, "{bad}");
        }
    }
}
