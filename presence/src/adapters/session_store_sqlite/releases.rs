//! Releases: up to 64 sessions in one transaction.

use super::{
    connection::{Database, now},
    leaving::{Left, leave},
};
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::{Ended, WHAT, micros},
    },
    ports::Fault,
};
use async_trait::async_trait;
use presence_core::ids::SessionId;
use serde_json::json;
use std::collections::HashSet;

/// Those that are still live in the generation they were held in, and when they ended.
const LIVE: &str = concat!(
    "SELECT s.id, ",
    now!(),
    " - (w.value ->> 2)
    FROM json_each(?1) w JOIN agent_session s ON s.id = w.value ->> 0 AND s.generation = w.value ->> 1"
);

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
        let mut change = self.0.change().await?;
        let wanted = releases
            .iter()
            .map(|ended| json!([ended.held.session_id, ended.held.generation, micros(ended.ago())]));
        let wanted = json!(wanted.collect::<Vec<_>>()).to_string();
        let gone = change.rows(sqlx::query_as::<_, (i64, i64)>(LIVE).bind(wanted)).await?;
        leave(&mut change, &gone, Left::Told).await?;
        change.commit().await?;
        let gone: HashSet<_> = gone.into_iter().map(|(session, _)| session).collect();
        let went = |release: &Ended| gone.contains(&release.held.session_id.0);
        Ok(releases.iter().map(went).collect())
    }
}
