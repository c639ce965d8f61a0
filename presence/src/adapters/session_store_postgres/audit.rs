//! The audit: what the tables hold against the invariants of `docs/ARCHITECTURE.md`, asked in one snapshot that can
//! change nothing.
//!
//! Each question costs about as much as there is in `agent_session`, in the outbox and in the last day of history. Of
//! older history only what is of the same agents in the same classrooms is looked at.

use super::PostgresStore;
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

/// $1: how long what is eventual may take. $2: how far back the outbox still has everything. $3: how many rows to show.
macro_rules! found {
    ($what:literal, $from:expr) => {
        concat!(
            "SELECT what FROM (SELECT ",
            $what,
            " AS what FROM ",
            $from,
            ") AS found WHERE $1::bigint IS NOT NULL AND $2::bigint IS NOT NULL LIMIT $3"
        )
    };
}

/// A session that came in another's place: that one ended at the instant when this one began, and neither was told of.
/// Who ended later than it began (its own end was put off, so that stays do not overlap) ended then, too.
const CHECKS: [(&str, &str); 15] = [
    (
        "I1",
        found!(
            "'session ' || s.id || ' is live and in history'",
            "agent_session s JOIN agent_session_history h ON h.id = s.id"
        ),
    ),
    // The primary key forbids it. Only where it is gone is history counted.
    (
        "I1",
        found!(
            "'session ' || h.id || ' is in history ' || count(*) || ' times'",
            "agent_session_history h
            WHERE NOT EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id'
                WHERE i.indrelid = 'agent_session_history'::regclass AND i.indisunique AND i.indisvalid
                  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL
            )
            GROUP BY h.id HAVING count(*) > 1"
        ),
    ),
    (
        "I2",
        found!(
            "'sessions ' || string_agg(s.id::text, ', ' ORDER BY s.id) || ' are live, of one agent in one classroom'",
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
            WHERE o.operation = o.before_operation
              -- Between older ones, some may have been trimmed.
              AND (o.before_published IS NULL OR o.before_published > now() - $2 * interval '1 microsecond')"
        ),
    ),
    (
        "I4",
        found!(
            "'event ' || o.position || ' says that session ' || o.session_id || ' left, which is not in history'",
            "outbox o
            WHERE o.operation = 'left' AND NOT EXISTS (
                SELECT FROM agent_session_history h
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
                SELECT FROM agent_session s
                WHERE s.id = o.session_id AND s.classroom_id = o.classroom_id AND s.agent_id = o.agent_id
            ) AND NOT EXISTS (
                SELECT FROM agent_session_history h
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
            "agent_session_history h
            WHERE upper(h.lifetime) > now() - $2 * interval '1 microsecond'
              AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = h.id AND o.operation = 'left')
              AND NOT EXISTS (
                  SELECT FROM agent_session_history n
                  WHERE n.classroom_id = h.classroom_id AND n.agent_id = h.agent_id
                    AND upper(n.lifetime) > upper(h.lifetime) AND lower(n.lifetime) = upper(h.lifetime)
                    -- Implied; it bounds what is read.
                    AND upper(n.lifetime) > now() - $2 * interval '1 microsecond'
                    AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = n.id AND o.operation = 'entered')
              )
              AND NOT EXISTS (
                  SELECT FROM agent_session s
                  WHERE s.classroom_id = h.classroom_id AND s.agent_id = h.agent_id
                    AND s.started_at <= upper(h.lifetime)
                    AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = s.id AND o.operation = 'entered')
              )"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || s.id || ' is live, took nobody''s place, and no event says that it entered'",
            "agent_session s
            WHERE s.started_at > now() - $2 * interval '1 microsecond'
              AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = s.id AND o.operation = 'entered')
              AND NOT EXISTS (
                  SELECT FROM agent_session_history p
                  WHERE p.classroom_id = s.classroom_id AND p.agent_id = s.agent_id
                    AND upper(p.lifetime) >= s.started_at
                    AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = p.id AND o.operation = 'left')
              )"
        ),
    ),
    (
        "I4",
        found!(
            "'session ' || h.id || ' is in history, took nobody''s place, and no event says that it entered'",
            "agent_session_history h
            WHERE upper(h.lifetime) > now() - $2 * interval '1 microsecond'
              AND lower(h.lifetime) > now() - $2 * interval '1 microsecond'
              AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = h.id AND o.operation = 'entered')
              AND NOT EXISTS (
                  SELECT FROM agent_session_history p
                  WHERE p.classroom_id = h.classroom_id AND p.agent_id = h.agent_id
                    AND p.id <> h.id AND upper(p.lifetime) = lower(h.lifetime)
                    AND upper(p.lifetime) > now() - $2 * interval '1 microsecond'
                    AND NOT EXISTS (SELECT FROM outbox o WHERE o.session_id = p.id AND o.operation = 'left')
              )"
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and its replica ' || s.replica_id || CASE
                 WHEN r.id IS NULL THEN ' is unknown' ELSE ' lost its lease at ' || r.lease_until END",
            "agent_session s LEFT JOIN replica r ON r.id = s.replica_id
            WHERE CASE WHEN r.id IS NULL THEN s.claimed_at ELSE r.lease_until END
                  <= now() - $1 * interval '1 microsecond'"
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and was told to go at ' || s.shed_at",
            "agent_session s WHERE s.shed_at <= now() - $1 * interval '1 microsecond'"
        ),
    ),
    (
        "I5",
        found!(
            "'session ' || s.id || ' is live, and its replica ' || s.replica_id || ' has drained since '
             || r.draining_since",
            "agent_session s JOIN replica r ON r.id = s.replica_id
            WHERE r.draining AND r.lease_until > now()
              AND greatest(r.draining_since, s.claimed_at) <= now() - $1 * interval '1 microsecond'"
        ),
    ),
    (
        "I5",
        found!(
            "'event ' || o.position || ' of session ' || o.session_id || ' waits since ' || o.created_at",
            "outbox o WHERE o.published_at IS NULL AND o.created_at <= now() - $1 * interval '1 microsecond'"
        ),
    ),
    // Where stays of a key overlap, the one that ended later began before the other one's end.
    (
        "I7",
        found!(
            "'session ' || later.id || ' began before session ' || h.id || ' ended'",
            "(
                SELECT id, classroom_id, agent_id, lower(lifetime) AS began, upper(lifetime) AS ended
                FROM agent_session_history WHERE upper(lifetime) > now() - interval '1 day'
                UNION ALL
                -- Clocks of two servers of the database, or two readings of one that was set, may differ a little.
                SELECT id, classroom_id, agent_id, started_at + interval '1 second', 'infinity'
                FROM agent_session
            ) later
            JOIN agent_session_history h
              ON h.classroom_id = later.classroom_id AND h.agent_id = later.agent_id
             AND upper(h.lifetime) > later.began AND upper(h.lifetime) <= later.ended AND h.id <> later.id"
        ),
    ),
];

#[async_trait]
impl Audit for PostgresStore {
    async fn audit(&self, settled: Duration, limit: u32) -> Result<Vec<Finding>, Fault> {
        let late = |_| Fault::unavailable(WHAT, "the audit took too long");
        timeout(AUDIT_TIMEOUT, self.ask(settled, limit)).await.map_err(late)?
    }
}

impl PostgresStore {
    async fn ask(&self, settled: Duration, limit: u32) -> Result<Vec<Finding>, Fault> {
        let told = self.retention.saturating_sub(settled);
        let mut reading = self.database.read().await?;
        let mut findings = Vec::new();
        for (invariant, sql) in CHECKS {
            let query = sqlx::query_as::<_, (String,)>(sql);
            let query = query.bind(micros(settled)).bind(micros(told)).bind(i64::from(limit));
            add_findings(&mut findings, invariant, reading.rows(query).await?, limit);
        }
        reading.end().await?;
        Ok(findings)
    }
}
