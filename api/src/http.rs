//! Bodies of the public and the internal HTTP API, as in section 6 of `docs/PROTOCOL.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::frames::Agent;

/// `POST /api/v1/counters/agent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountersRequest {
    pub classroom_ids: Vec<String>,
}

/// Agents present per classroom; a classroom without any is not in it.
pub type Counters = BTreeMap<String, u64>;

/// One stay of one agent, as attendance reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    pub session_id: i64,
    pub agent_id: String,
    /// RFC 3339, UTC.
    pub entered_at: String,
    /// RFC 3339, UTC; absent while the agent is present.
    pub left_at: Option<String>,
}

/// A page of attendance. `next` goes into `after` for the page that follows; absent on the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attendance {
    pub stays: Vec<Stay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// `DELETE /api/v1/sessions` on the internal port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteRequest {
    pub session_key: DeleteKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteKey {
    pub agent_id: String,
    pub classroom_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum DeleteResponse {
    DeleteSuccess,
    DeleteFailure(DeleteFailure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteFailure {
    NotFound,
    MessagingFailed,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A name from a closed list, as a URN.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
