//! What is said at the Socket.IO door: section 5 of `docs/PROTOCOL.md`.

use crate::frames::Agent;
use presence_core::ids::{ClassroomId, OrgId, UserId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `teacher_disconnect`, to the hubs of an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherDisconnect {
    pub user_id: UserId,
}

/// `log_out`, from a client and to the managers of its org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOut {
    pub user_id: UserId,
    pub org_id: OrgId,
}

/// `terminated`: connect elsewhere. A client that does not is closed then, and connects by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    pub reconnect_after_ms: u64,
    /// `shutdown` or `rebalance`.
    pub reason: Cow<'static, str>,
}

/// An acknowledgement: `{"status":"SUCCESS","data":{…}}` or `{"status":"ERROR","data":{"code":…,"message":…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", content = "data", rename_all = "UPPERCASE")]
pub enum Ack<T> {
    Success(T),
    Error(Problem),
}

/// Why not. Also the `data` of a refused connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

/// What whoever joins a lesson learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub lesson_id: ClassroomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    pub session_id: i64,
    /// Events of the classroom come from this position on.
    pub seq: u64,
    /// The first ones by session id.
    pub agents: Vec<Agent>,
    pub agents_total: u64,
}
