//! Rosters: up to 64 classrooms in one query, and one answer for everybody who asks for the same classroom meanwhile.

use super::database::Database;
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::{WHAT, present},
    },
    ports::{Fault, session_store::Roster},
};
use async_trait::async_trait;
use presence_core::{ids::ClassroomId, page::SNAPSHOT_LIMIT};
use std::collections::HashMap;

const ROSTER: &str = "
SELECT w.classroom_id,
       (SELECT count(*) FROM agent_session s WHERE s.classroom_id = w.classroom_id) AS total,
       coalesce(f.ids, '{}') AS ids,
       coalesce(f.agents, '{}') AS agents
FROM unnest($1::text[]) AS w (classroom_id)
CROSS JOIN LATERAL (
    SELECT array_agg(p.id ORDER BY p.id) AS ids, array_agg(p.agent_id ORDER BY p.id) AS agents
    FROM (
        SELECT s.id, s.agent_id FROM agent_session s WHERE s.classroom_id = w.classroom_id ORDER BY s.id LIMIT $2
    ) p
) f";

#[derive(Debug)]
pub(super) struct Rosters(Database);

impl Rosters {
    pub(super) const fn new(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Work for Rosters {
    type Request = ClassroomId;
    type Response = Roster;
    type Key = ClassroomId;

    const WHAT: &'static str = WHAT;
    const SAME_KEY: SameKey = SameKey::Shares;
    const ABANDONED: Abandoned = Abandoned::Dropped;

    fn key(classroom: &ClassroomId) -> ClassroomId {
        classroom.clone()
    }

    async fn perform(&self, classrooms: Vec<ClassroomId>) -> Result<Vec<Roster>, Fault> {
        let wanted: Vec<_> = classrooms.iter().map(ClassroomId::as_str).collect();
        let statement = || {
            sqlx::query_as::<_, (String, i64, Vec<i64>, Vec<String>)>(ROSTER)
                .bind(&wanted)
                .bind(i64::from(SNAPSHOT_LIMIT))
        };
        let mut found = HashMap::with_capacity(wanted.len());
        for (classroom, total, ids, agents) in self.0.rows(statement).await? {
            let first = ids.into_iter().zip(agents).map(present).collect::<Result<_, _>>()?;
            let total = total.unsigned_abs();
            found.insert(classroom, Roster { first, total });
        }
        // One row comes back for each classroom asked for; one without would be empty all the same.
        let of = |classroom: &ClassroomId| found.remove(classroom.as_str()).unwrap_or_default();
        Ok(classrooms.iter().map(of).collect())
    }
}
