//! The reader: what the database holds at one moment, read in one statement, for the history.

use crate::{Database, History, history::now};
use anyhow::{Context, Result};
use presence_api::history::{Act, Entry};
use serde_json::Value;

/// A line of JSON per row, each an act as the history words it.
const DUMP: &str = "
SELECT json_build_object('op', 'live', 'session_id', s.id, 'agent_id', s.agent_id, 'classroom_id', s.classroom_id,
           'generation', s.generation, 'replica', coalesce(r.label, s.replica_id::text),
           'started_at', (extract(epoch FROM s.started_at) * 1000000)::bigint)
FROM agent_session s LEFT JOIN replica r ON r.id = s.replica_id
UNION ALL
SELECT json_build_object('op', 'ended', 'session_id', h.id, 'agent_id', h.agent_id, 'classroom_id', h.classroom_id,
           'started_at', (extract(epoch FROM lower(h.lifetime)) * 1000000)::bigint,
           'ended_at', (extract(epoch FROM upper(h.lifetime)) * 1000000)::bigint)
FROM agent_session_history h
UNION ALL
SELECT json_build_object('op', 'waiting', 'session_id', o.session_id, 'operation', o.operation,
           'agent_id', o.agent_id, 'classroom_id', o.classroom_id)
FROM outbox o WHERE o.published_at IS NULL";

/// What changes with everything that is written: the highest ids drawn, claims counted, releases counted.
const FINGERPRINT: &str = "
SELECT concat_ws('/', (SELECT last_value FROM agent_session_id_seq), (SELECT last_value FROM outbox_position_seq),
    (SELECT coalesce(sum(generation), 0) FROM agent_session), (SELECT count(*) FROM agent_session),
    (SELECT count(*) FROM agent_session_history))";

/// Writes down all that is there.
pub fn write(database: &Database, history: &History) -> Result<()> {
    let began = now();
    let text = database.query(DUMP)?;
    let (mut live, mut ended, mut waiting) = (0, 0, 0);
    let at = now();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).context("a row is JSON")?;
        let act: Act = serde_json::from_value(value).with_context(|| format!("understand {line}"))?;
        match &act {
            Act::Live { .. } => live += 1,
            Act::Ended { .. } => ended += 1,
            _ => waiting += 1,
        }
        history.write(Entry { began, at, actor: "reader".into(), act });
    }
    history.write(Entry { began, at, actor: "reader".into(), act: Act::Dumped { live, ended, waiting } });
    Ok(())
}

/// The same as before if nothing was claimed, released or announced in between.
pub fn fingerprint(database: &Database) -> Result<String> {
    database.query(FINGERPRINT)
}

/// Who is live: agent and classroom.
pub fn live(database: &Database) -> Result<Vec<(String, String)>> {
    let rows = database.query("SELECT agent_id || ' ' || classroom_id FROM agent_session")?;
    let pair = |row: &str| row.split_once(' ').map(|(agent, room)| (agent.to_owned(), room.to_owned()));
    Ok(rows.lines().filter_map(pair).collect())
}
