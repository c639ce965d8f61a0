//! Events: what a classroom is told. The body is the sibling services' own, as in section 4 of `docs/PROTOCOL.md`.

use presence_core::ids::{AgentId, SessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Header names on NATS.
pub mod headers {
    pub const MSG_ID: &str = "Nats-Msg-Id";
    pub const EVENT_TYPE: &str = "Entity-Event-Type";
    pub const EVENT_OPERATION: &str = "Entity-Event-Operation";
    pub const EVENT_SEQUENCE_ID: &str = "Entity-Event-Sequence-Id";
    pub const SENDER: &str = "Sender-Agent-Id";
    pub const RECEIVER: &str = "Receiver-Agent-Id";
    pub const INTERNAL: &str = "Is-Internal";
    /// Set by the server on what it republishes.
    pub const SEQUENCE: &str = "Nats-Sequence";
    /// Set by the server on what it republishes: the position of the subject's previous message.
    pub const LAST_SEQUENCE: &str = "Nats-Last-Sequence";
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventId {
    pub entity_type: String,
    pub operation: String,
    pub sequence_id: i64,
}

/// What happened to a presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Entered,
    Left,
}

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left => "left",
        }
    }
}

/// The payload of our own events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentPayload {
    pub version: String,
    pub entity_type: String,
    pub label: Operation,
    pub agent_id: String,
}

impl AgentPayload {
    pub fn new(label: Operation, agent_id: &AgentId) -> Self {
        Self { version: "v1".into(), entity_type: ENTITY.into(), label, agent_id: agent_id.to_string() }
    }
}

/// The entity type of our own events, and the last token of their subject.
pub const ENTITY: &str = "agent";

impl EventId {
    pub fn agent(operation: Operation, session_id: SessionId) -> Self {
        Self { entity_type: ENTITY.into(), operation: operation.as_str().into(), sequence_id: session_id.0 }
    }
}

/// A body that carries its own id; the other shape is the bare payload with the id in headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<P> {
    pub id: EventId,
    pub payload: P,
}
