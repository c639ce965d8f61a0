//! What the product's analysts hear: who came back and who went.

use presence_core::{
    ids::{ClassroomId, OrgId, SocketId, UserId},
    time::UnixMicros,
};
use std::fmt::Debug;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Reconnect,
    Disconnect,
}

impl What {
    /// The event's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Disconnect => "disconnect",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub what: What,
    /// The `distinct_id`.
    pub user_id: UserId,
    pub org_id: OrgId,
    pub role: String,
    pub lesson: Option<ClassroomId>,
    pub room: Option<String>,
    pub at: UnixMicros,
    /// With `what`, the same for a repeated report of the same fact, and for no other.
    pub sid: SocketId,
}

/// Contract: `report` never waits. What finds no room is dropped and counted; what cannot be sent is tried again for a
/// bounded time, then dropped and counted.
pub trait Analytics: Debug + Send + Sync {
    fn report(&self, report: Report);
}
