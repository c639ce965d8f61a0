//! What the product's analysts hear of a socket.

use crate::{
    apps::Apps,
    engine::Engine,
    ports::{
        analytics::{Report, What},
        lesson_state::AppSocket,
    },
};
use presence_core::ids::ClassroomId;

/// Never waits.
pub(super) fn report(
    engine: &Engine,
    apps: &Apps,
    socket: &AppSocket,
    what: What,
    (lesson, room): (Option<ClassroomId>, Option<String>),
) {
    apps.analytics.report(Report {
        what,
        user_id: socket.user_id.clone(),
        org_id: socket.org_id.clone(),
        role: socket.role.clone(),
        lesson,
        room,
        at: engine.deps.clock.wall(),
        sid: socket.sid.clone(),
    });
}

/// The lesson's room: from Redis, or from the database, and then Redis has it, too. A report is worth no more than one
/// try of each.
pub(super) async fn room(apps: &Apps, lesson: &ClassroomId) -> Option<String> {
    match apps.state.room(lesson).await {
        Ok(Some(room)) => return Some(room),
        Ok(None) => {}
        Err(fault) => {
            tracing::debug!(error = &fault as &dyn std::error::Error, "read a lesson's room");
            return None;
        }
    }
    let read = apps.lessons.room(lesson).await;
    let room = read.inspect_err(|fault| {
        tracing::debug!(error = fault as &dyn std::error::Error, "read a lesson's room from the database");
    });
    let room = room.ok().flatten()?;
    if let Err(fault) = apps.state.set_room(lesson, &room).await {
        tracing::debug!(error = &fault as &dyn std::error::Error, "write a lesson's room");
    }
    Some(room)
}
