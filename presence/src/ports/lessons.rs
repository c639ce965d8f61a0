//! What the classroom's own backend knows of lessons. Read only.

use super::Fault;
use async_trait::async_trait;
use presence_core::ids::{ClassroomId, UserId};
use std::fmt::Debug;

/// A lesson that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// As the backend wrote it: it is compared, never used as a key.
    pub org_id: String,
    pub room_id: Option<String>,
    /// The seat of the student who was asked about, if there is one.
    pub seat: Option<String>,
}

/// Contract: `lesson` reads the lesson and the student's seat in one round trip; `None`: no such lesson. `room` is the
/// lesson's room alone. Both see what was committed before they began. Empty texts count as absent.
#[async_trait]
pub trait Lessons: Debug + Send + Sync {
    async fn lesson(&self, lesson: &ClassroomId, student: &UserId) -> Result<Option<Lesson>, Fault>;
    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault>;
}
