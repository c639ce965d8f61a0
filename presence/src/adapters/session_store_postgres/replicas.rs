//! Replicas: leases by the database's clock, and the sweep of what the dead still hold.

use super::PostgresStore;
use crate::{
    adapters::sql::{REMEMBERED, SWEEP_STATEMENTS, SWEPT_AT_ONCE, WHAT, held, micros},
    ports::{
        Fault,
        session_store::{Replica, Replicas, Whereabouts},
    },
};
use async_trait::async_trait;
use presence_core::{
    ids::{Fence, ReplicaId},
    session::Held,
};
use std::time::Duration;
use uuid::Uuid;

/// The former holder of the label loses it first: the count makes the insert wait for that. A replica that registers
/// again (its lease had lapsed) does not stop draining by it, and gets the next fence.
const REGISTER: &str = "
WITH former AS (
    UPDATE replica SET label = NULL, lease_until = least(lease_until, clock_timestamp())
    WHERE label = $2 AND id <> $1 RETURNING id
)
INSERT INTO replica AS r (id, label, address, renewed_at, lease_until)
SELECT $1, $2, $3, clock_timestamp(), clock_timestamp() + $4 * interval '1 microsecond'
FROM (SELECT count(*) FROM former) AS after_former
ON CONFLICT (id) DO UPDATE SET label = EXCLUDED.label, address = EXCLUDED.address,
    renewed_at = EXCLUDED.renewed_at, lease_until = EXCLUDED.lease_until, fence = r.fence + 1
RETURNING fence";

const RENEW: &str = "
UPDATE replica SET renewed_at = clock_timestamp(), lease_until = clock_timestamp() + $2 * interval '1 microsecond'
WHERE id = $1 AND lease_until > clock_timestamp()
RETURNING true";

const DRAIN: &str = "
UPDATE replica
SET draining = $2, draining_since = CASE WHEN $2 THEN coalesce(draining_since, clock_timestamp()) END
WHERE id = $1
RETURNING true";

const DRAINING: &str = "SELECT count(*) FROM replica WHERE draining AND lease_until > clock_timestamp()";

const WHEREABOUTS: &str = "SELECT address, lease_until > clock_timestamp() FROM replica WHERE id = $1 AND lease_until > '-infinity'";

/// Of those asked about; none where the asker's own lease does not run.
const GONE: &str = "
SELECT asked.id FROM unnest($1::uuid[]) asked (id) LEFT JOIN replica r ON r.id = asked.id
WHERE (r.id IS NULL OR r.lease_until <= clock_timestamp() - $2 * interval '1 microsecond')
  AND EXISTS (SELECT FROM replica asker WHERE asker.id = $3 AND asker.lease_until > clock_timestamp())";

const HELD: &str = "SELECT id, generation FROM agent_session WHERE replica_id = $1";

/// It says so itself, so it was alive until now; and no return window applies to it.
const RETIRE: &str = "
UPDATE replica SET renewed_at = clock_timestamp(), lease_until = '-infinity'
WHERE id = $1 AND lease_until > '-infinity'
RETURNING true";

/// `holders` steps through the index from one replica to the next instead of reading every session. `dead` are those
/// whose lease lapsed more than $1 ago, and those nobody knows (a late claim of one that was already swept): their
/// sessions are left alone for $2 more, counted from the claim. The sweeper, $4, is to publish the events. Whoever holds
/// nothing is forgotten, once it was last heard of $5 ago. `candidates` are found by replica, so that a sweep that
/// finds nobody dead reads next to nothing; a session that somebody is just taking is skipped.
///
/// The sweeper's own lease is looked at here too, for it may have been stopped between looking at it and asking this.
/// Without one it sweeps nothing but what it held itself, once it has retired.
const SWEEP: &str = "
WITH RECURSIVE sweeper AS MATERIALIZED (
    SELECT FROM replica WHERE id = $4 AND lease_until > clock_timestamp()
), holders (replica_id) AS (
    (SELECT replica_id FROM agent_session ORDER BY replica_id LIMIT 1)
    UNION ALL
    SELECT (SELECT s.replica_id FROM agent_session s WHERE s.replica_id > h.replica_id ORDER BY s.replica_id LIMIT 1)
    FROM holders h WHERE h.replica_id IS NOT NULL
), dead AS (
    SELECT h.replica_id, r.renewed_at, r.id IS NULL AS unknown
    FROM holders h LEFT JOIN replica r ON r.id = h.replica_id
    WHERE h.replica_id IS NOT NULL
      AND (r.id IS NULL OR r.lease_until <= clock_timestamp() - $1 * interval '1 microsecond')
      AND (EXISTS (SELECT FROM sweeper) OR (r.id = $4 AND r.lease_until = '-infinity'))
), candidates AS MATERIALIZED (
    SELECT c.id, d.replica_id, d.renewed_at, d.unknown
    FROM dead d CROSS JOIN LATERAL (
        SELECT s.id FROM agent_session s
        WHERE s.replica_id = d.replica_id
          AND (NOT d.unknown OR s.claimed_at <= clock_timestamp() - ($1 + $2) * interval '1 microsecond')
        LIMIT $3
    ) c
    LIMIT $3
), doomed AS (
    SELECT s.id, s.generation, greatest(s.claimed_at, c.renewed_at) AS last_seen
    FROM candidates c JOIN agent_session s ON s.id = c.id
    WHERE s.replica_id = c.replica_id
      AND (NOT c.unknown OR s.claimed_at <= clock_timestamp() - ($1 + $2) * interval '1 microsecond')
    ORDER BY s.classroom_id, s.agent_id
    FOR UPDATE OF s SKIP LOCKED
), gone AS (
    DELETE FROM agent_session s USING doomed d
    WHERE s.id = d.id AND s.generation = d.generation
    RETURNING s.*, d.last_seen
), history AS (
    INSERT INTO agent_session_history (id, agent_id, classroom_id, replica_id, lifetime)
    SELECT id, agent_id, classroom_id, replica_id, presence_lifetime(classroom_id, agent_id, started_at, last_seen)
    FROM gone
), told AS (
    INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id)
    SELECT 'left', id, agent_id, classroom_id, $4 FROM gone
), forgotten AS (
    DELETE FROM replica r
    WHERE r.lease_until <= clock_timestamp() - $1 * interval '1 microsecond'
      AND r.renewed_at <= clock_timestamp() - $5 * interval '1 microsecond'
      AND EXISTS (SELECT FROM sweeper)
      AND NOT EXISTS (SELECT FROM agent_session s WHERE s.replica_id = r.id)
)
SELECT count(*) FROM gone";

#[async_trait]
impl Replicas for PostgresStore {
    async fn register(&self, replica: &Replica, ttl: Duration) -> Result<Fence, Fault> {
        let statement = || {
            sqlx::query_as::<_, (i64,)>(REGISTER)
                .bind(Uuid::from_u128(replica.id.0))
                .bind(&replica.label)
                .bind(&replica.address)
                .bind(micros(ttl))
        };
        let rows = self.leases.rows(statement).await?;
        let &(fence,) =
            rows.first().ok_or_else(|| Fault::failed(WHAT, "a registration came back without its row"))?;
        Ok(Fence(fence))
    }

    async fn renew(&self, id: ReplicaId, ttl: Duration) -> Result<bool, Fault> {
        let statement = || sqlx::query_as::<_, (bool,)>(RENEW).bind(Uuid::from_u128(id.0)).bind(micros(ttl));
        Ok(!self.leases.rows(statement).await?.is_empty())
    }

    async fn set_draining(&self, id: ReplicaId, draining: bool) -> Result<(), Fault> {
        let statement = || sqlx::query_as::<_, (bool,)>(DRAIN).bind(Uuid::from_u128(id.0)).bind(draining);
        self.database.rows(statement).await?;
        Ok(())
    }

    async fn whereabouts(&self, id: ReplicaId) -> Result<Option<Whereabouts>, Fault> {
        let statement = || sqlx::query_as::<_, (String, bool)>(WHEREABOUTS).bind(Uuid::from_u128(id.0));
        let found = self.database.rows(statement).await?.pop();
        Ok(found.map(|(address, lives)| Whereabouts { address, lives }))
    }

    async fn gone(
        &self,
        by: ReplicaId,
        ids: &[ReplicaId],
        return_window: Duration,
    ) -> Result<Vec<ReplicaId>, Fault> {
        let ids: Vec<_> = ids.iter().map(|id| Uuid::from_u128(id.0)).collect();
        let statement = || {
            sqlx::query_as::<_, (Uuid,)>(GONE)
                .bind(ids.clone())
                .bind(micros(return_window))
                .bind(Uuid::from_u128(by.0))
        };
        let gone = self.database.rows(statement).await?;
        Ok(gone.into_iter().map(|(id,)| ReplicaId(id.as_u128())).collect())
    }

    async fn draining(&self) -> Result<u32, Fault> {
        let rows = self.database.rows(|| sqlx::query_as::<_, (i64,)>(DRAINING)).await?;
        Ok(rows.first().map_or(0, |&(count,)| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    async fn held(&self, id: ReplicaId) -> Result<Vec<Held>, Fault> {
        let statement = || sqlx::query_as::<_, (i64, i64)>(HELD).bind(Uuid::from_u128(id.0));
        Ok(self.database.rows(statement).await?.into_iter().map(held).collect())
    }

    async fn retire(&self, id: ReplicaId) -> Result<(), Fault> {
        let statement = || sqlx::query_as::<_, (bool,)>(RETIRE).bind(Uuid::from_u128(id.0));
        self.database.rows(statement).await?;
        // It has no lease now, so nothing is swept by it but its own. A lease that is over by this much is a retired one.
        self.sweep(id, Duration::MAX).await?;
        Ok(())
    }

    async fn sweep(&self, by: ReplicaId, return_window: Duration) -> Result<u64, Fault> {
        let statement = || {
            sqlx::query_as::<_, (i64,)>(SWEEP)
                .bind(micros(return_window))
                .bind(micros(self.orphan_grace))
                .bind(SWEPT_AT_ONCE)
                .bind(Uuid::from_u128(by.0))
                .bind(micros(REMEMBERED))
        };
        let mut moved = 0;
        // The last statement finds nothing, and forgets the replicas that the ones before it emptied.
        for _ in 0..SWEEP_STATEMENTS {
            let rows = self.database.rows(statement).await?;
            match rows.first() {
                Some(&(count,)) if count > 0 => moved += count.unsigned_abs(),
                _ => break,
            }
        }
        Ok(moved)
    }
}
