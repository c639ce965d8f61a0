//! Releases: up to 64 sessions in one statement that removes each row, writes its history and its `left`.

use super::database::Database;
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::{Ended, WHAT, micros},
    },
    ports::Fault,
};
use async_trait::async_trait;
use presence_core::{ids::SessionId, session::Held};
use std::collections::HashSet;

/// The rows are locked first, in the order of their keys; one that another statement has taken meanwhile no longer
/// matches id and generation, and is left alone.
const RELEASE: &str = "
WITH given_up AS (
    SELECT s.id, s.generation, r.ago
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (id, generation, ago)
    JOIN agent_session s ON s.id = r.id AND s.generation = r.generation
    ORDER BY s.classroom_id, s.agent_id
    FOR UPDATE OF s
), gone AS (
    DELETE FROM agent_session s USING given_up g
    WHERE s.id = g.id AND s.generation = g.generation
    RETURNING s.*, clock_timestamp() - g.ago * interval '1 microsecond' AS ended_at
), history AS (
    INSERT INTO agent_session_history (id, agent_id, classroom_id, replica_id, lifetime)
    SELECT id, agent_id, classroom_id, replica_id, presence_lifetime(classroom_id, agent_id, started_at, ended_at)
    FROM gone
), told AS (
    INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id)
    SELECT 'left', id, agent_id, classroom_id, replica_id FROM gone
)
SELECT id, generation FROM gone";

#[derive(Debug)]
pub(super) struct Releases(Database);

impl Releases {
    pub(super) const fn new(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Work for Releases {
    type Request = Ended;
    type Response = bool;
    type Key = SessionId;

    const WHAT: &'static str = WHAT;
    // Of two that release the same session, one did.
    const SAME_KEY: SameKey = SameKey::TakesTurns;
    // The socket is gone whether or not somebody still waits to hear it.
    const ABANDONED: Abandoned = Abandoned::Performed;

    fn key(release: &Ended) -> SessionId {
        release.held.session_id
    }

    async fn perform(&self, releases: Vec<Ended>) -> Result<Vec<bool>, Fault> {
        let ids: Vec<_> = releases.iter().map(|release| release.held.session_id.0).collect();
        let generations: Vec<_> = releases.iter().map(|release| release.held.generation.0).collect();
        let ago: Vec<_> = releases.iter().map(|release| micros(release.ago())).collect();
        let statement = || sqlx::query_as::<_, (i64, i64)>(RELEASE).bind(&ids).bind(&generations).bind(&ago);
        let gone: HashSet<_> = self.0.rows(statement).await?.into_iter().collect();
        let went = |held: Held| gone.contains(&(held.session_id.0, held.generation.0));
        Ok(releases.iter().map(|release| went(release.held)).collect())
    }
}
