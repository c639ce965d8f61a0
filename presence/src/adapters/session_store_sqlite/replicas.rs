//! Replicas: leases by the store's clock, and the sweep of what the dead still hold. A single process has one replica
//! at a time, but each start is a new one, and the last one's sessions have to end.

use super::{
    SqliteStore,
    connection::now,
    leaving::{Left, leave},
};
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
use serde_json::json;
use std::time::Duration;

const SUPERSEDE: &str = concat!(
    "UPDATE replica SET label = NULL, lease_until = min(lease_until, ",
    now!(),
    ") FROM json_each(?1) w WHERE label = w.value ->> 1 AND replica.id <> w.value ->> 0"
);

/// A replica that registers again (its lease had lapsed) does not stop draining by it, and gets the next fence.
const REGISTER: &str = concat!(
    "INSERT INTO replica (id, label, address, renewed_at, lease_until)
    SELECT value ->> 0, value ->> 1, value ->> 2, ",
    now!(),
    ", ",
    now!(),
    " + (value ->> 3) FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO UPDATE SET label = excluded.label, address = excluded.address,
        renewed_at = excluded.renewed_at, lease_until = excluded.lease_until, fence = fence + 1
    RETURNING fence"
);

const RENEW: &str = concat!(
    "UPDATE replica SET renewed_at = ",
    now!(),
    ", lease_until = ",
    now!(),
    " + (w.value ->> 1) FROM json_each(?1) w WHERE replica.id = w.value ->> 0 AND lease_until > ",
    now!()
);

const DRAIN: &str = concat!(
    "UPDATE replica SET draining = w.value ->> 1,
        draining_since = CASE WHEN w.value ->> 1 THEN coalesce(draining_since, ",
    now!(),
    ") END FROM json_each(?1) w WHERE replica.id = w.value ->> 0"
);

const DRAINING: &str = concat!("SELECT count(*) FROM replica WHERE draining AND lease_until > ", now!());

const WHEREABOUTS: &str = concat!(
    "SELECT address, lease_until > ",
    now!(),
    " FROM replica WHERE id = ?1 AND lease_until > -9223372036854775808"
);

/// Of those in ?1; none where the asker's own lease, ?3, does not run.
const GONE: &str = concat!(
    "SELECT asked.value FROM json_each(?1) asked LEFT JOIN replica r ON r.id = asked.value
    WHERE (r.id IS NULL OR r.lease_until <= ",
    now!(),
    " - ?2) AND EXISTS (SELECT 1 FROM replica asker WHERE asker.id = ?3 AND asker.lease_until > ",
    now!(),
    ")"
);

const HELD: &str = "SELECT id, generation FROM agent_session WHERE replica_id = ?1";

/// It says so itself, so it was alive until now; and no return window applies to it.
const RETIRE: &str = concat!(
    "UPDATE replica SET lease_until = -9223372036854775808, renewed_at = ",
    now!(),
    " WHERE id IN (SELECT value FROM json_each(?1)) AND lease_until > -9223372036854775808"
);

/// Sessions of replicas whose lease lapsed more than ?1 ago; and those of replicas that nobody knows, which are left
/// alone for ?2 more, counted from the claim. With each, when its replica was last heard of. The sweeper, ?4, has a lease
/// of its own; without one it sweeps nothing but what it held itself, once it has retired.
const DOOMED: &str = concat!(
    "SELECT s.id, max(s.claimed_at, coalesce(r.renewed_at, s.claimed_at))
    FROM agent_session s LEFT JOIN replica r ON r.id = s.replica_id
    WHERE CASE WHEN r.id IS NULL THEN s.claimed_at <= ",
    now!(),
    " - ?1 - ?2 ELSE r.lease_until <= ",
    now!(),
    " - ?1 END AND (
        EXISTS (SELECT 1 FROM replica sweeper WHERE sweeper.id = ?4 AND sweeper.lease_until > ",
    now!(),
    ") OR (r.id = ?4 AND r.lease_until = -9223372036854775808)
    ) ORDER BY s.id LIMIT ?3"
);

/// Whoever holds nothing, once its lease lapsed the first number of microseconds ago and it was last heard of the second.
/// The third names the sweeper.
const FORGET: &str = concat!(
    "DELETE FROM replica WHERE lease_until <= ",
    now!(),
    " - (SELECT value ->> 0 FROM json_each(?1)) AND renewed_at <= ",
    now!(),
    " - (SELECT value ->> 1 FROM json_each(?1))
    AND NOT EXISTS (SELECT 1 FROM agent_session s WHERE s.replica_id = replica.id)
    AND EXISTS (
        SELECT 1 FROM json_each(?1) w JOIN replica sweeper ON sweeper.id = w.value ->> 2 WHERE sweeper.lease_until > ",
    now!(),
    ")"
);

#[async_trait]
impl Replicas for SqliteStore {
    async fn register(&self, replica: &Replica, ttl: Duration) -> Result<Fence, Fault> {
        let Replica { id, label, address } = replica;
        let row = json!([[id.to_string(), label, address, micros(ttl)]]);
        let mut change = self.database.change().await?;
        change.each(SUPERSEDE, &row).await?;
        let registered = change.rows(sqlx::query_as::<_, (i64,)>(REGISTER).bind(row.to_string())).await?;
        change.commit().await?;
        let &(fence,) = registered
            .first()
            .ok_or_else(|| Fault::failed(WHAT, "a registration came back without its row"))?;
        Ok(Fence(fence))
    }

    async fn renew(&self, id: ReplicaId, ttl: Duration) -> Result<bool, Fault> {
        let mut change = self.database.change().await?;
        let renewed = change.each(RENEW, &json!([[id.to_string(), micros(ttl)]])).await?;
        change.commit().await?;
        Ok(renewed > 0)
    }

    async fn set_draining(&self, id: ReplicaId, draining: bool) -> Result<(), Fault> {
        self.mark(DRAIN, &json!([[id.to_string(), draining]])).await
    }

    async fn whereabouts(&self, id: ReplicaId) -> Result<Option<Whereabouts>, Fault> {
        let query = sqlx::query_as::<_, (String, bool)>(WHEREABOUTS).bind(id.to_string());
        let found = self.database.rows(query).await?.pop();
        Ok(found.map(|(address, lives)| Whereabouts { address, lives }))
    }

    async fn gone(
        &self,
        by: ReplicaId,
        ids: &[ReplicaId],
        return_window: Duration,
    ) -> Result<Vec<ReplicaId>, Fault> {
        let asked: Vec<_> = ids.iter().map(ReplicaId::to_string).collect();
        let query = sqlx::query_as::<_, (String,)>(GONE)
            .bind(json!(asked).to_string())
            .bind(micros(return_window))
            .bind(by.to_string());
        let gone = self.database.rows(query).await?;
        Ok(ids.iter().filter(|id| gone.iter().any(|(gone,)| *gone == id.to_string())).copied().collect())
    }

    async fn draining(&self) -> Result<u32, Fault> {
        let rows = self.database.rows(sqlx::query_as::<_, (u32,)>(DRAINING)).await?;
        Ok(rows.first().map_or(0, |&(count,)| count))
    }

    async fn held(&self, id: ReplicaId) -> Result<Vec<Held>, Fault> {
        let rows = self.database.rows(sqlx::query_as::<_, (i64, i64)>(HELD).bind(id.to_string())).await?;
        Ok(rows.into_iter().map(held).collect())
    }

    async fn retire(&self, id: ReplicaId) -> Result<(), Fault> {
        self.mark(RETIRE, &json!([id.to_string()])).await?;
        // It has no lease now, so nothing is swept by it but its own. A lease that is over by this much is a retired one.
        self.sweep(id, Duration::MAX).await?;
        Ok(())
    }

    async fn sweep(&self, by: ReplicaId, return_window: Duration) -> Result<u64, Fault> {
        let mut moved = 0;
        for _ in 0..SWEEP_STATEMENTS {
            let count = self.sweep_some(by, return_window).await?;
            if count == 0 {
                break;
            }
            moved += count;
        }
        Ok(moved)
    }
}

impl SqliteStore {
    async fn sweep_some(&self, by: ReplicaId, return_window: Duration) -> Result<u64, Fault> {
        let mut change = self.database.change().await?;
        let query = sqlx::query_as::<_, (i64, i64)>(DOOMED)
            .bind(micros(return_window))
            .bind(micros(self.orphan_grace))
            .bind(SWEPT_AT_ONCE)
            .bind(by.to_string());
        let doomed = change.rows(query).await?;
        leave(&mut change, &doomed, Left::ToldBy(by)).await?;
        let forgetting = json!([[micros(return_window), micros(REMEMBERED), by.to_string()]]);
        change.each(FORGET, &forgetting).await?;
        change.commit().await?;
        Ok(doomed.len() as u64)
    }

    async fn mark(&self, statement: &'static str, row: &serde_json::Value) -> Result<(), Fault> {
        let mut change = self.database.change().await?;
        change.each(statement, row).await?;
        change.commit().await
    }
}
