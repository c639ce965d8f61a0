//! Whether who is asking may.

use super::authn::Identity;
use async_trait::async_trait;
use presence_core::ids::ClassroomId;
use std::fmt::Debug;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Be present in the classroom.
    Connect,
    /// See who is, or was.
    Read,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Read => "read",
        }
    }
}

/// What the action is done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    Classroom(ClassroomId),
    /// Counters over several classrooms.
    AllClassrooms,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("access denied")]
    Denied,
    #[error("the authorisation service is unavailable")]
    Unavailable,
}

/// Contract: an answer may be cached for a bounded time; what cannot be decided is `Unavailable`, never allowed.
#[async_trait]
pub trait Authz: Debug + Send + Sync {
    async fn authorize(&self, who: &Identity, action: Action, object: &Object) -> Result<(), Error>;
}
