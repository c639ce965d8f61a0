//! Rosters: up to 64 classrooms in one query, and one answer for everybody who asks for the same classroom meanwhile.

use super::connection::Database;
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::{WHAT, present},
    },
    ports::{Fault, session_store::Roster},
};
use async_trait::async_trait;
use presence_core::{ids::ClassroomId, page::SNAPSHOT_LIMIT};
use serde_json::json;

const ROSTER: &str = "
SELECT w.key,
       (SELECT count(*) FROM agent_session s WHERE s.classroom_id = w.value),
       (SELECT json_group_array(json_array(p.id, p.agent_id) ORDER BY p.id) FROM (
           SELECT s.id, s.agent_id FROM agent_session s WHERE s.classroom_id = w.value ORDER BY s.id LIMIT ?2
       ) p)
FROM json_each(?1) w";

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
        let query = sqlx::query_as::<_, (u32, i64, String)>(ROSTER)
            .bind(json!(classrooms).to_string())
            .bind(SNAPSHOT_LIMIT);
        let mut rosters: Vec<_> = classrooms.iter().map(|_| Roster::default()).collect();
        for (index, total, first) in self.0.rows(query).await? {
            let first: Vec<(i64, String)> =
                serde_json::from_str(&first).map_err(|error| Fault::failed(WHAT, error))?;
            rosters[index as usize] = Roster {
                first: first.into_iter().map(present).collect::<Result<_, _>>()?,
                total: total.unsigned_abs(),
            };
        }
        Ok(rosters)
    }
}
