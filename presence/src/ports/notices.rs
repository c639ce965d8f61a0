//! What an org's clients are told, on whatever replica they are.

use super::Fault;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use presence_core::{
    app::Kind,
    ids::{OrgId, ReplicaId, UserId},
};
use std::fmt::Debug;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A teacher is gone: the org's hubs hear it.
    TeacherDisconnect { org_id: OrgId, user_id: UserId },
    /// A user logged out: the org's managers hear it.
    LogOut { org_id: OrgId, user_id: UserId },
}

impl Notice {
    /// The name of the Socket.IO event.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TeacherDisconnect { .. } => "teacher_disconnect",
            Self::LogOut { .. } => "log_out",
        }
    }

    pub const fn org_id(&self) -> &OrgId {
        match self {
            Self::TeacherDisconnect { org_id, .. } | Self::LogOut { org_id, .. } => org_id,
        }
    }

    /// Which of the org's clients hear it.
    pub const fn audience(&self) -> Kind {
        match self {
            Self::TeacherDisconnect { .. } => Kind::TeacherHub,
            Self::LogOut { .. } => Kind::Manager,
        }
    }
}

/// Contract:
/// - `tell` gives a notice to every other replica, and does not wait for them. A fault says that some of them, or none,
///   will hear it; it is not repeated.
/// - `heard` brings what other replicas tell, each once, for as long as it is polled, over reconnects too; never what
///   `me` told. What is no notice is counted and skipped. What is told while nobody listens, or faster than is heard, is
///   lost.
#[async_trait]
pub trait Notices: Debug + Send + Sync {
    async fn tell(&self, me: ReplicaId, notice: &Notice) -> Result<(), Fault>;
    async fn heard(&self, me: ReplicaId) -> Result<BoxStream<'static, Notice>, Fault>;
}
