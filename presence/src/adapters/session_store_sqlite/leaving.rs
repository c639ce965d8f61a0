//! How a session ends, for whatever reason: its row becomes history, told or not. The one place that removes a row.

use super::connection::{Change, now};
use crate::ports::Fault;
use presence_core::ids::ReplicaId;
use serde_json::json;

/// A stay begins where the key's former stay ended at the earliest, and lasts at least a microsecond, so that no two
/// stays of one key overlap and none is empty.
const TO_HISTORY: &str = "
INSERT INTO agent_session_history (id, agent_id, classroom_id, replica_id, entered_at, left_at)
SELECT id, agent_id, classroom_id, replica_id, entered_at, max(ended_at, entered_at + 1)
FROM (
    SELECT s.id, s.agent_id, s.classroom_id, s.replica_id, w.value ->> 1 AS ended_at,
           max(s.started_at, coalesce((
               SELECT max(h.left_at) FROM agent_session_history h
               WHERE h.classroom_id = s.classroom_id AND h.agent_id = s.agent_id
           ), s.started_at)) AS entered_at
    FROM json_each(?1) w JOIN agent_session s ON s.id = w.value ->> 0
)";

const TELL: &str = concat!(
    "INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id, created_at)
    SELECT 'left', s.id, s.agent_id, s.classroom_id, coalesce(w.value ->> 2, s.replica_id), ",
    now!(),
    " FROM json_each(?1) w JOIN agent_session s ON s.id = w.value ->> 0 ORDER BY w.key"
);

const REMOVE: &str = "DELETE FROM agent_session WHERE id IN (SELECT value ->> 0 FROM json_each(?1))";

/// Whether the classroom hears of it. One who is replaced has not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// By the replica that held the session.
    Told,
    /// By another one.
    ToldBy(ReplicaId),
    Untold,
}

/// Ends sessions, each an id and the moment it ended.
pub(super) async fn leave(change: &mut Change, sessions: &[(i64, i64)], left: Left) -> Result<(), Fault> {
    if sessions.is_empty() {
        return Ok(());
    }
    let teller = if let Left::ToldBy(replica) = left { Some(replica.to_string()) } else { None };
    let sessions: Vec<_> = sessions.iter().map(|(session, ended)| json!([session, ended, teller])).collect();
    let sessions = json!(sessions);
    change.each(TO_HISTORY, &sessions).await?;
    if left != Left::Untold {
        change.each(TELL, &sessions).await?;
    }
    change.each(REMOVE, &sessions).await?;
    Ok(())
}
