//! The outbox: events written with the rows they tell of, until they are published and a while longer.

use super::{SqliteStore, connection::now};
use crate::{
    adapters::sql::{PendingRow, TRIMMED_AT_ONCE, duration, micros, pending},
    ports::{
        Fault,
        session_store::{Due, Outbox, Pending},
    },
};
use async_trait::async_trait;
use serde_json::json;
use std::time::Duration;

/// The events asked for, and every older one of their keys that still waits. Cutting the list at its end keeps that
/// true.
macro_rules! due {
    ($asked:expr) => {
        concat!(
            "WITH asked AS (
                SELECT position, classroom_id, agent_id FROM outbox
                WHERE published_at IS NULL AND ",
            $asked,
            " ORDER BY position LIMIT ?2
            ), keys AS (
                SELECT classroom_id, agent_id, max(position) AS last FROM asked GROUP BY classroom_id, agent_id
            )
            SELECT o.position, o.operation, o.session_id, o.agent_id, o.classroom_id
            FROM keys k JOIN outbox o
              ON o.classroom_id = k.classroom_id AND o.agent_id = k.agent_id
             AND o.position <= k.last AND o.published_at IS NULL
            ORDER BY o.position LIMIT ?2"
        )
    };
}

const DUE_OF: &str = due!("replica_id = ?1");
const DUE_OLDER: &str = due!(concat!("created_at <= ", now!(), " - ?1"));

const PUBLISHED: &str = concat!(
    "UPDATE outbox SET published_at = ",
    now!(),
    " WHERE published_at IS NULL AND position IN (SELECT value FROM json_each(?1))"
);

const TRIM: &str = concat!(
    "DELETE FROM outbox WHERE position IN (
        SELECT position FROM outbox WHERE published_at <= ",
    now!(),
    " - (SELECT value ->> 0 FROM json_each(?1)) ORDER BY published_at LIMIT (SELECT value ->> 1 FROM json_each(?1))
    )"
);

const BACKLOG: &str = concat!(
    "SELECT count(*), coalesce(",
    now!(),
    " - min(created_at), 0) FROM outbox WHERE published_at IS NULL"
);

#[async_trait]
impl Outbox for SqliteStore {
    async fn due(&self, which: Due, limit: u32) -> Result<Vec<Pending>, Fault> {
        let query = match which {
            Due::Of(replica) => sqlx::query_as::<_, PendingRow>(DUE_OF).bind(replica.to_string()),
            Due::OlderThan(age) => sqlx::query_as::<_, PendingRow>(DUE_OLDER).bind(micros(age)),
        };
        let rows = self.database.rows(query.bind(limit)).await?;
        rows.into_iter().map(pending).collect()
    }

    async fn published(&self, positions: &[i64]) -> Result<(), Fault> {
        let mut change = self.database.change().await?;
        change.each(PUBLISHED, &json!(positions)).await?;
        change.commit().await
    }

    async fn trim(&self) -> Result<u64, Fault> {
        let mut change = self.database.change().await?;
        let trimmed = change.each(TRIM, &json!([[micros(self.retention), TRIMMED_AT_ONCE]])).await?;
        change.commit().await?;
        Ok(trimmed)
    }

    async fn backlog(&self) -> Result<(u64, Duration), Fault> {
        let rows = self.database.rows(sqlx::query_as::<_, (i64, i64)>(BACKLOG)).await?;
        let &(count, oldest) = rows.first().unwrap_or(&(0, 0));
        Ok((count.unsigned_abs(), duration(oldest)))
    }
}
