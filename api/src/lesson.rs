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

/// The `code` of a `Problem`: THE table of why a classroom app does not get what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A field is missing, of the wrong type or outside its grammar; the message names it.
    BadRequest,
    /// More than an event may hold.
    TooLarge,
    /// The token is not one this service trusts for now.
    Unauthenticated,
    /// It is not for this client to ask.
    Forbidden,
    /// The token is good, but not for this.
    AccessDenied,
    /// The socket is in a lesson.
    AlreadyJoined,
    LessonNotFound,
    /// The same user joined the same lesson from elsewhere at the same moment.
    Replaced,
    /// Not now: try again.
    Unavailable,
    /// A fault of the server; its log has the details.
    InternalServerError,
    /// An event that is acknowledged came without a callback.
    NoAcknowledgement,
}

impl Code {
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::AccessDenied,
        Self::AlreadyJoined,
        Self::LessonNotFound,
        Self::Replaced,
        Self::Unavailable,
        Self::InternalServerError,
        Self::NoAcknowledgement,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::AccessDenied => "access_denied",
            Self::AlreadyJoined => "already_joined",
            Self::LessonNotFound => "lesson_not_found",
            Self::Replaced => "replaced",
            Self::Unavailable => "unavailable",
            Self::InternalServerError => "internal_server_error",
            Self::NoAcknowledgement => "no_acknowledgement",
        }
    }
}

/// The `data` of an acknowledgement that says no more than that it was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

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
