//! The native WebSocket door's frames, as in section 2 of `docs/PROTOCOL.md`.

use presence_core::close;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a client may send. Unknown fields are ignored, so that a newer client can speak to an older server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum ClientFrame {
    ConnectRequest(ConnectRequest),
}

/// The first frame of a socket. Ids are parsed by the door, so that an error can name the field.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectRequest {
    pub agent_label: String,
    pub classroom_id: String,
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

impl std::fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("agent_label", &self.agent_label)
            .field("classroom_id", &self.classroom_id)
            .field("token", &"…")
            .field("resume", &self.resume)
            .finish()
    }
}

/// What a returning client last knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resume {
    pub session_id: i64,
    pub last_seq: u64,
}

/// What a server sends, besides classroom events (`event::Delivered`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum ServerFrame {
    ConnectSuccess(Connected),
    UnrecoverableSessionError(SessionError),
    RecoverableSessionError(SessionError),
    /// The client's knowledge cannot be brought up to date event by event: here is the state instead.
    Resync(Snapshot),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    pub session_id: i64,
    /// The session came over from an earlier socket, and every event since `last_seq` follows.
    pub resumed: bool,
    /// The replica that holds the socket.
    pub replica: String,
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// Who is in the classroom as of `seq`; every later event follows on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// The stream position that `resume.last_seq` names.
    pub seq: u64,
    /// The first 200, by session id; the rest is read over HTTP.
    pub agents: Vec<Agent>,
    pub agents_total: u64,
}

/// A present agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The session's id.
    pub id: i64,
    pub agent_id: String,
}

/// Why the socket is closed, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionError {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to connect again. The server spreads its clients by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_after_ms: Option<u64>,
    /// Of `terminated`: `shutdown` or `rebalance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<close::Row> for SessionError {
    fn from(row: close::Row) -> Self {
        Self {
            kind: row.name.into(),
            title: row.title.into(),
            status: row.status,
            detail: None,
            reconnect_after_ms: None,
            reason: None,
        }
    }
}

/// A classroom event as a client receives it: the published body, and where it stands in the stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivered {
    pub id: super::event::EventId,
    pub payload: Box<RawValue>,
    pub seq: u64,
}
