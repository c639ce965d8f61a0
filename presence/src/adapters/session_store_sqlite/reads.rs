//! The port itself: what is batched goes to its batch, the other reads are one query each.

use super::{SqliteStore, connection::now};
use crate::{
    adapters::sql::{Ended, StayRow, WHAT, id, present, refused_claim, stay},
    ports::{
        Fault,
        session_store::{Claim, Claimed, Present, Release, Roster, SessionStore, Stay},
    },
};
use async_trait::async_trait;
use presence_core::{
    ids::{ClassroomId, Generation, ReplicaId, SessionId, SessionKey},
    page::Limit,
    replace::Holder,
    session::Held,
};
use serde_json::json;
use uuid::Uuid;

const FIND: &str = "
SELECT id, generation, replica_id FROM agent_session WHERE classroom_id = ?1 AND agent_id = ?2";

const SHED: &str = concat!(
    "UPDATE agent_session SET shed_at = coalesce(shed_at, ",
    now!(),
    ") FROM json_each(?1) w WHERE agent_session.id = w.value ->> 0 AND generation = w.value ->> 1"
);

const AGENTS: &str = "
SELECT id, agent_id FROM agent_session WHERE classroom_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const COUNTS: &str = "
SELECT classroom_id, count(*) FROM agent_session
WHERE classroom_id IN (SELECT value FROM json_each(?1)) GROUP BY classroom_id";

/// One snapshot of both tables, so a session that moves is seen once. A live stay is shown to begin no earlier than the
/// key's former stay ended, as its history will say.
const ATTENDANCE: &str = "
SELECT id, agent_id, entered_at, left_at FROM (
    SELECT * FROM (
        SELECT id, agent_id, entered_at, left_at FROM agent_session_history
        WHERE classroom_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3
    ) UNION ALL SELECT * FROM (
        SELECT s.id, s.agent_id, max(s.started_at, coalesce((
                   SELECT max(h.left_at) FROM agent_session_history h
                   WHERE h.classroom_id = s.classroom_id AND h.agent_id = s.agent_id
               ), s.started_at)) AS entered_at, NULL AS left_at
        FROM agent_session s WHERE s.classroom_id = ?1 AND s.id > ?2 ORDER BY s.id LIMIT ?3
    )
)
ORDER BY id LIMIT ?3";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, Fault> {
        self.claims.call(claim).await?.ok_or_else(refused_claim)
    }

    async fn release(&self, release: Release) -> Result<bool, Fault> {
        self.releases.call(Ended::now(release)).await
    }

    async fn shed(&self, going: &[Held]) -> Result<(), Fault> {
        let going: Vec<_> = going.iter().map(|held| json!([held.session_id, held.generation])).collect();
        let mut change = self.database.change().await?;
        change.each(SHED, &json!(going)).await?;
        change.commit().await
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<Holder>, Fault> {
        let query = sqlx::query_as::<_, (i64, i64, String)>(FIND)
            .bind(key.classroom_id.as_str())
            .bind(key.agent_id.as_str());
        let Some((session, generation, replica)) = self.database.rows(query).await?.pop() else {
            return Ok(None);
        };
        let replica = Uuid::parse_str(&replica).map_err(|error| Fault::failed(WHAT, error))?;
        Ok(Some(Holder {
            session_id: SessionId(session),
            generation: Generation(generation),
            replica_id: ReplicaId(replica.as_u128()),
        }))
    }

    async fn roster(&self, classroom: &ClassroomId) -> Result<Roster, Fault> {
        self.rosters.call(classroom.clone()).await
    }

    async fn agents(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Present>, Fault> {
        let query = sqlx::query_as::<_, (i64, String)>(AGENTS)
            .bind(classroom.as_str())
            .bind(after.0)
            .bind(limit.get());
        let rows = self.database.rows(query).await?;
        rows.into_iter().map(present).collect()
    }

    async fn counts(&self, classrooms: &[ClassroomId]) -> Result<Vec<(ClassroomId, u64)>, Fault> {
        let query = sqlx::query_as::<_, (String, i64)>(COUNTS).bind(json!(classrooms).to_string());
        let rows = self.database.rows(query).await?;
        rows.into_iter().map(|(classroom, count)| Ok((id(&classroom)?, count.unsigned_abs()))).collect()
    }

    async fn attendance(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Stay>, Fault> {
        let query =
            sqlx::query_as::<_, StayRow>(ATTENDANCE).bind(classroom.as_str()).bind(after.0).bind(limit.get());
        let rows = self.database.rows(query).await?;
        rows.into_iter().map(stay).collect()
    }
}
