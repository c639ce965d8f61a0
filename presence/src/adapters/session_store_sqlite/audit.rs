//! The audit: what the tables hold against the invariants of `docs/ARCHITECTURE.md`, asked in one snapshot that can
//! change nothing. The questions are those of PostgreSQL; the file is small enough to be read whole.

use super::{SqliteStore, connection::now};
use crate::{
    adapters::sql::{AUDIT_TIMEOUT, WHAT, add_findings, micros},
    ports::{
        Fault,
        session_store::{Audit, Finding},
    },
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::timeout;

/// ?1: how long what is eventual may take. ?2: how far back the outbox still has everything. ?3: how many rows to show.
macro_rules! found {
    ($what:expr, $($from:expr),+) => {
        concat!(
            "SELECT what FROM (SELECT ",
            $what,
            " AS what FROM ",
            $($from,)+
            ") AS found WHERE ?1 IS NOT NULL AND ?2 IS NOT NULL LIMIT ?3"
        )
    };
}

/// The moments that are far enough back, or not too far.
macro_rules! settled {
    () => {
        concat!(now!(), " - ?1")
    };
}
macro_rules! told {
    () => {
        concat!(now!(), " - ?2")
    };
}

/// Sessions that events tell of.
macro_rules! entered {
    () => {
        "(SELECT session_id FROM outbox WHERE operation = 'entered')"
    };
}
macro_rules! left {
    () => {
        "(SELECT session_id FROM outbox WHERE operation = 'left')"
    };
}

/// A session that came in another's place: that one ended at the instant when this one began, and neither was told of.
/// Who ended later than it began (its own end was put off, so that stays do not overlap) ended then, too. History holds
/// an id once, for the id is the row's own number.
const CHECKS: [(&str, &str); 14] = [
    (
        "I1",
        found!(
            "'session ' || s.id || ' is live and in history'",
            "agent_session s JOIN agent_session_history h ON h.id = s.id"
        ),
    ),
    (
        "I2",
        found!(
            "'sessions ' || group_concat(s.id, ', ') || ' are live, of one agent in one classroom'",
            "agent_session s GROUP BY s.classroom_id, s.agent_id HAVING count(*) > 1"
        ),
    ),
    (
        "I3",
        found!(
            "'event ' || o.position || ' says that session ' || o.session_id || ' ' || o.operation
             || ', and event ' || o.before || ' said the same of session ' || o.before_id",
            "(
                SELECT position, session_id, operation, lag(position) OVER key AS before,
                       lag(session_id) OVER key AS before_id, lag(operation) OVER key AS before_operation,
                       lag(published_at) OVER key AS before_published
                FROM outbox WINDOW key AS (PARTITION BY classroom_id, agent_id ORDER BY position)
            ) o
            WHERE o.operation = o.before_operation AND (o.before_published IS NULL OR o.before_published > ",
            told!(),
            ")"
        ),
    ),
    (
        "I4",
        found!(
            "'event ' || o.position || ' says that session ' || o.session_id || ' left, which is not in history'",
            "outbox o
            WHERE o.operation = 'left' AND NOT EXISTS (
                SELECT 1 FROM agent_session_history h
                WHERE h.id = o.session_id AND h.classroom_id = o.classroom_id AND h.agent_id = o.agent_id
            )"
        ),
    ),
    (
        "I4",
        found!(
            "'event ' || o.position || ' says that session ' || o.session_id || ' entered, which is nowhere'",
            "outbox o
            WHERE o.operation = 'entered' AND NOT EXISTS (
                SELECT 1 FROM agent_session s
                WHERE s.id = o.session_id AND s.classroom_id = o.classroom_id AND s.agent_id = o.agent_id
            ) AND NOT EXISTS (
                SELECT 1 FROM agent_session_history h
                WHERE h.id = o.session_id AND h.classroom_id = o.classroom_id AND h.agent_id = o.agent_id
            )"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || o.session_id || ' ' || o.operation || ' ' || count(*) || ' times'",
            "outbox o GROUP BY o.session_id, o.operation HAVING count(*) > 1"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || h.id || ' ended, nobody took its place, and no event says that it left'",
            "agent_session_history h WHERE h.left_at > ",
            told!(),
            " AND h.id NOT IN ",
            left!(),
            " AND NOT EXISTS (
                SELECT 1 FROM agent_session_history n
                WHERE n.classroom_id = h.classroom_id AND n.agent_id = h.agent_id
                  AND n.left_at > h.left_at AND n.entered_at = h.left_at AND n.id NOT IN ",
            entered!(),
            ") AND NOT EXISTS (
                SELECT 1 FROM agent_session s
                WHERE s.classroom_id = h.classroom_id AND s.agent_id = h.agent_id
                  AND s.started_at <= h.left_at AND s.id NOT IN ",
            entered!(),
            ")"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || s.id || ' is live, took nobody''s place, and no event says that it entered'",
            "agent_session s WHERE s.started_at > ",
            told!(),
            " AND s.id NOT IN ",
            entered!(),
            " AND NOT EXISTS (
                SELECT 1 FROM agent_session_history p
                WHERE p.classroom_id = s.classroom_id AND p.agent_id = s.agent_id
                  AND p.left_at >= s.started_at AND p.id NOT IN ",
            left!(),
            ")"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || h.id || ' is in history, took nobody''s place, and no event says that it entered'",
            "agent_session_history h WHERE h.entered_at > ",
            told!(),
            " AND h.id NOT IN ",
            entered!(),
            " AND NOT EXISTS (
                SELECT 1 FROM agent_session_history p
                WHERE p.classroom_id = h.classroom_id AND p.agent_id = h.agent_id
                  AND p.id <> h.id AND p.left_at = h.entered_at AND p.id NOT IN ",
            left!(),
            ")"
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and its replica ' || s.replica_id || CASE
                 WHEN r.id IS NULL THEN ' is unknown' ELSE ' lost its lease' END",
            "agent_session s LEFT JOIN replica r ON r.id = s.replica_id
            WHERE CASE WHEN r.id IS NULL THEN s.claimed_at ELSE r.lease_until END <= ",
            settled!()
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and was told to go'",
            "agent_session s WHERE s.shed_at <= ",
            settled!()
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and its replica ' || s.replica_id || ' drains'",
            "agent_session s JOIN replica r ON r.id = s.replica_id
            WHERE r.draining AND r.lease_until > ",
            now!(),
            " AND max(r.draining_since, s.claimed_at) <= ",
            settled!()
        ),
    ),
    (
        "I5",
        found!(
            "'event ' || o.position || ' of session ' || o.session_id || ' waits'",
            "outbox o WHERE o.published_at IS NULL AND o.created_at <= ",
            settled!()
        ),
    ),
    // Where stays of a key overlap, the one that ended later began before the other one's end.
    (
        "I7",
        found!(
            "'session ' || later.id || ' began before session ' || h.id || ' ended'",
            "(
                SELECT id, classroom_id, agent_id, entered_at AS began, left_at AS ended
                FROM agent_session_history
                UNION ALL
                -- Two readings of a clock that was set may differ a little.
                SELECT id, classroom_id, agent_id, started_at + 1000000, 9223372036854775807
                FROM agent_session
            ) later
            CROSS JOIN agent_session_history h
              ON h.classroom_id = later.classroom_id AND h.agent_id = later.agent_id
             AND h.left_at > later.began AND h.left_at <= later.ended AND h.id <> later.id"
        ),
    ),
];

#[async_trait]
impl Audit for SqliteStore {
    async fn audit(&self, settled: Duration, limit: u32) -> Result<Vec<Finding>, Fault> {
        let late = |_| Fault::unavailable(WHAT, "the audit took too long");
        timeout(AUDIT_TIMEOUT, self.ask(settled, limit)).await.map_err(late)?
    }
}

impl SqliteStore {
    async fn ask(&self, settled: Duration, limit: u32) -> Result<Vec<Finding>, Fault> {
        let told = self.retention.saturating_sub(settled);
        let mut reading = self.database.read().await?;
        let mut findings = Vec::new();
        for (invariant, sql) in CHECKS {
            let query =
                sqlx::query_as::<_, (String,)>(sql).bind(micros(settled)).bind(micros(told)).bind(limit);
            add_findings(&mut findings, invariant, reading.rows(query).await?, limit);
        }
        Ok(findings)
    }
}
