//! Claims: up to 64 keys in one statement that takes each session, keeps or replaces it, ends the replaced one and
//! announces the new one. A claim of a replica that has no say any more is left out of it.

use super::database::Database;
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::WHAT,
    },
    ports::{
        Fault,
        session_store::{Claim, Claimed},
    },
};
use async_trait::async_trait;
use presence_core::{
    ids::{Generation, ReplicaId, SessionId, SessionKey},
    replace::Holder,
    session::Held,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Rows are locked in the order of their keys, as everything else here locks them, so batches do not deadlock. What is
/// drawn or measured in DO UPDATE and after it (a new id, times, positions in the outbox) comes after the row's lock, so
/// per key it follows what the former holder did.
///
/// Whether the replica may claim is asked for each key just before it is proposed, since the statement may have waited
/// for the key before it (OFFSET 0 keeps that question above the sort), and again when a held key's row is locked.
const CLAIM: &str = "
WITH claimed AS (
    INSERT INTO agent_session AS s (agent_id, classroom_id, replica_id, fence, resume_id)
    SELECT c.agent_id, c.classroom_id, c.replica_id, c.fence, c.resume_id
    FROM (
        SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[])
            AS c (agent_id, classroom_id, replica_id, fence, resume_id)
        ORDER BY c.classroom_id COLLATE \"C\", c.agent_id COLLATE \"C\" OFFSET 0
    ) c
    WHERE presence_replica_claims(c.replica_id, c.fence)
    ON CONFLICT (classroom_id, agent_id) DO UPDATE SET
        (id, started_at) = (
            SELECT CASE WHEN rule.keeps THEN s.id ELSE nextval('agent_session_id_seq') END,
                   CASE WHEN rule.keeps THEN s.started_at ELSE clock_timestamp() END
            FROM (SELECT s.replica_id = EXCLUDED.replica_id OR s.id = EXCLUDED.resume_id
                         OR s.shed_at IS NOT NULL OR NOT presence_replica_holds(s.replica_id)) AS rule (keeps)
        ),
        replica_id = EXCLUDED.replica_id,
        fence = EXCLUDED.fence,
        resume_id = EXCLUDED.resume_id,
        shed_at = NULL,
        generation = s.generation + 1,
        claimed_at = clock_timestamp(),
        previous_id = s.id,
        previous_replica_id = s.replica_id,
        previous_generation = s.generation,
        previous_started_at = s.started_at
    WHERE presence_replica_claims(EXCLUDED.replica_id, EXCLUDED.fence)
    RETURNING s.*
), replaced AS (
    INSERT INTO agent_session_history (id, agent_id, classroom_id, replica_id, lifetime)
    SELECT previous_id, agent_id, classroom_id, previous_replica_id,
           presence_lifetime(classroom_id, agent_id, previous_started_at, started_at)
    FROM claimed WHERE previous_id <> id
), entered AS (
    INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id)
    SELECT 'entered', id, agent_id, classroom_id, replica_id FROM claimed WHERE previous_id IS NULL
)
SELECT agent_id, classroom_id, id, generation, previous_id, previous_generation, previous_replica_id FROM claimed";

#[derive(Debug)]
pub(super) struct Claims(Database);

impl Claims {
    pub(super) const fn new(database: Database) -> Self {
        Self(database)
    }
}

/// Agent, classroom, session, generation; then the previous session, its generation and its replica, or none of them.
type Row = (String, String, i64, i64, Option<i64>, Option<i64>, Option<Uuid>);

#[async_trait]
impl Work for Claims {
    type Request = Claim;
    /// Without one, the claim was refused.
    type Response = Option<Claimed>;
    type Key = SessionKey;

    const WHAT: &'static str = WHAT;
    // ON CONFLICT cannot touch a row twice, and of two claims under way together either might come to be the last.
    const SAME_KEY: SameKey = SameKey::TakesTurns;
    // A session claimed for nobody would be a ghost.
    const ABANDONED: Abandoned = Abandoned::Dropped;

    fn key(claim: &Claim) -> SessionKey {
        claim.key.clone()
    }

    async fn perform(&self, claims: Vec<Claim>) -> Result<Vec<Option<Claimed>>, Fault> {
        let agents: Vec<_> = claims.iter().map(|claim| claim.key.agent_id.as_str()).collect();
        let classrooms: Vec<_> = claims.iter().map(|claim| claim.key.classroom_id.as_str()).collect();
        let replicas: Vec<_> = claims.iter().map(|claim| Uuid::from_u128(claim.replica_id.0)).collect();
        let fences: Vec<_> = claims.iter().map(|claim| claim.fence.0).collect();
        let resumed: Vec<_> = claims.iter().map(|claim| claim.resume.map(|id| id.0)).collect();
        let statement = || {
            sqlx::query_as::<_, Row>(CLAIM)
                .bind(&agents)
                .bind(&classrooms)
                .bind(&replicas)
                .bind(&fences)
                .bind(&resumed)
        };
        let rows = self.0.rows(statement).await?;
        let claimed: HashMap<_, _> = rows.iter().map(read).collect();
        let of = |claim: &Claim| {
            let key = (claim.key.agent_id.as_str(), claim.key.classroom_id.as_str());
            claimed.get(&key).copied()
        };
        Ok(claims.iter().map(of).collect())
    }
}

fn read(row: &Row) -> ((&str, &str), Claimed) {
    let &(ref agent, ref classroom, session, generation, ..) = row;
    let held = Held { session_id: SessionId(session), generation: Generation(generation) };
    let previous = previous(row);
    ((agent, classroom), Claimed { held, previous })
}

fn previous(&(.., session, generation, replica): &Row) -> Option<Holder> {
    Some(Holder {
        session_id: SessionId(session?),
        generation: Generation(generation?),
        replica_id: ReplicaId(replica?.as_u128()),
    })
}
