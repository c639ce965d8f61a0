//! The port itself: what is batched goes to its batch, the other reads are one query each.

use super::PostgresStore;
use crate::{
    adapters::sql::{Ended, StayRow, id, present, refused_claim, stay},
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
use uuid::Uuid;

const FIND: &str = "
SELECT id, generation, replica_id FROM agent_session WHERE classroom_id = $1 AND agent_id = $2";

/// Locked in the order of their keys, as claims lock them; one that is claimed meanwhile no longer matches.
const SHED: &str = "
WITH going AS (
    SELECT s.id, s.generation
    FROM unnest($1::bigint[], $2::bigint[]) AS g (id, generation)
    JOIN agent_session s ON s.id = g.id AND s.generation = g.generation
    ORDER BY s.classroom_id, s.agent_id
    FOR NO KEY UPDATE OF s
)
UPDATE agent_session s SET shed_at = coalesce(s.shed_at, clock_timestamp())
FROM going g WHERE s.id = g.id AND s.generation = g.generation
RETURNING true";

const AGENTS: &str = "
SELECT id, agent_id FROM agent_session WHERE classroom_id = $1 AND id > $2 ORDER BY id LIMIT $3";

const COUNTS: &str = "
SELECT classroom_id, count(*) FROM agent_session WHERE classroom_id = ANY($1) GROUP BY classroom_id";

/// One snapshot of both tables, so a session that moves is seen once. A live stay is shown to begin no earlier than the
/// key's former stay ended, as its history will say.
const ATTENDANCE: &str = "
SELECT id, agent_id, (extract(epoch FROM entered_at) * 1000000)::bigint, (extract(epoch FROM left_at) * 1000000)::bigint
FROM (
    (
        SELECT id, agent_id, lower(lifetime) AS entered_at, upper(lifetime) AS left_at
        FROM agent_session_history WHERE classroom_id = $1 AND id > $2 ORDER BY id LIMIT $3
    ) UNION ALL (
        SELECT s.id, s.agent_id, greatest(s.started_at, (
                   SELECT max(upper(h.lifetime)) FROM agent_session_history h
                   WHERE h.classroom_id = s.classroom_id AND h.agent_id = s.agent_id
               )), NULL
        FROM agent_session s WHERE s.classroom_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3
    )
) AS stay
ORDER BY id LIMIT $3";

#[async_trait]
impl SessionStore for PostgresStore {
    async fn claim(&self, claim: Claim) -> Result<Claimed, Fault> {
        self.claims.call(claim).await?.ok_or_else(refused_claim)
    }

    async fn release(&self, release: Release) -> Result<bool, Fault> {
        self.releases.call(Ended::now(release)).await
    }

    async fn shed(&self, going: &[Held]) -> Result<(), Fault> {
        let ids: Vec<_> = going.iter().map(|held| held.session_id.0).collect();
        let generations: Vec<_> = going.iter().map(|held| held.generation.0).collect();
        let statement = || sqlx::query_as::<_, (bool,)>(SHED).bind(&ids).bind(&generations);
        self.database.rows(statement).await?;
        Ok(())
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<Holder>, Fault> {
        let statement = || {
            sqlx::query_as::<_, (i64, i64, Uuid)>(FIND)
                .bind(key.classroom_id.as_str())
                .bind(key.agent_id.as_str())
        };
        let rows = self.database.rows(statement).await?;
        Ok(rows.first().map(|&(id, generation, replica)| Holder {
            session_id: SessionId(id),
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
        let statement = || {
            sqlx::query_as::<_, (i64, String)>(AGENTS)
                .bind(classroom.as_str())
                .bind(after.0)
                .bind(i64::from(limit.get()))
        };
        let rows = self.database.rows(statement).await?;
        rows.into_iter().map(present).collect()
    }

    async fn counts(&self, classrooms: &[ClassroomId]) -> Result<Vec<(ClassroomId, u64)>, Fault> {
        let wanted: Vec<_> = classrooms.iter().map(ClassroomId::as_str).collect();
        let statement = || sqlx::query_as::<_, (String, i64)>(COUNTS).bind(&wanted);
        let rows = self.database.rows(statement).await?;
        rows.into_iter().map(|(classroom, count)| Ok((id(&classroom)?, count.unsigned_abs()))).collect()
    }

    async fn attendance(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Stay>, Fault> {
        let statement = || {
            sqlx::query_as::<_, StayRow>(ATTENDANCE)
                .bind(classroom.as_str())
                .bind(after.0)
                .bind(i64::from(limit.get()))
        };
        let rows = self.database.rows(statement).await?;
        rows.into_iter().map(stay).collect()
    }
}
