//! The outbox: events written with the rows they tell of, until they are published and a while longer.

use super::PostgresStore;
use crate::{
    adapters::sql::{PendingRow, TRIMMED_AT_ONCE, duration, micros, pending},
    ports::{
        Fault,
        session_store::{Due, Outbox, Pending},
    },
};
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// The events asked for, and every older one of their keys that still waits. An older event of a key is committed
/// before a younger one is drawn, so none can turn up later. Cutting the list at its end keeps that true.
macro_rules! due {
    ($asked:literal) => {
        concat!(
            "WITH asked AS (
                SELECT position, classroom_id, agent_id FROM outbox
                WHERE published_at IS NULL AND ",
            $asked,
            " ORDER BY position LIMIT $2
            ), keys AS (
                SELECT classroom_id, agent_id, max(position) AS last FROM asked GROUP BY classroom_id, agent_id
            )
            SELECT o.position, o.operation, o.session_id, o.agent_id, o.classroom_id
            FROM keys k JOIN outbox o
              ON o.classroom_id = k.classroom_id AND o.agent_id = k.agent_id
             AND o.position <= k.last AND o.published_at IS NULL
            -- Implied by the line above; it bounds the scan when many wait.
            WHERE o.position <= (SELECT max(position) FROM asked)
            ORDER BY o.position LIMIT $2"
        )
    };
}

const DUE_OF: &str = due!("replica_id = $1");
const DUE_OLDER: &str = due!("created_at <= clock_timestamp() - $1 * interval '1 microsecond'");

/// Locked in one order, so that two publishers marking the same events do not deadlock. A position is one event for good,
/// failovers included (`presence_follow_failover`), so it says enough.
const PUBLISHED: &str = "
WITH ours AS (
    SELECT position FROM outbox WHERE position = ANY($1) AND published_at IS NULL ORDER BY position FOR UPDATE
)
UPDATE outbox o SET published_at = clock_timestamp() FROM ours WHERE o.position = ours.position
RETURNING o.position";

const TRIM: &str = "
WITH old AS (
    SELECT position FROM outbox WHERE published_at <= clock_timestamp() - $1 * interval '1 microsecond'
    ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM outbox o USING old WHERE o.position = old.position RETURNING o.position
)
SELECT count(*) FROM gone";

const BACKLOG: &str = "
SELECT count(*), coalesce((extract(epoch FROM clock_timestamp() - min(created_at)) * 1000000)::bigint, 0)
FROM outbox WHERE published_at IS NULL";

#[async_trait]
impl Outbox for PostgresStore {
    async fn due(&self, which: Due, limit: u32) -> Result<Vec<Pending>, Fault> {
        let statement = || match which {
            Due::Of(replica) => sqlx::query_as::<_, PendingRow>(DUE_OF).bind(Uuid::from_u128(replica.0)),
            Due::OlderThan(age) => sqlx::query_as::<_, PendingRow>(DUE_OLDER).bind(micros(age)),
        };
        let statement = || statement().bind(i64::from(limit));
        let rows = self.database.rows(statement).await?;
        rows.into_iter().map(pending).collect()
    }

    async fn published(&self, positions: &[i64]) -> Result<(), Fault> {
        let statement = || sqlx::query_as::<_, (i64,)>(PUBLISHED).bind(positions);
        self.database.rows(statement).await?;
        Ok(())
    }

    async fn trim(&self) -> Result<u64, Fault> {
        let statement =
            || sqlx::query_as::<_, (i64,)>(TRIM).bind(micros(self.retention)).bind(TRIMMED_AT_ONCE);
        let rows = self.database.rows(statement).await?;
        Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
    }

    async fn backlog(&self) -> Result<(u64, Duration), Fault> {
        let rows = self.database.rows(|| sqlx::query_as::<_, (i64, i64)>(BACKLOG)).await?;
        let &(count, oldest) = rows.first().unwrap_or(&(0, 0));
        Ok((count.unsigned_abs(), duration(oldest)))
    }
}
