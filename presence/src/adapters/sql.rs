//! What the SQL stores have in common: how rows become the port's types, and durations become numbers. No SQL here.

use crate::ports::{
    Fault,
    session_store::{Finding, Pending, Present, Release, Stay},
};
use presence_api::event::Operation;
use presence_core::{
    ids::{Generation, IdError, SessionId, SessionKey},
    session::Held,
    time::UnixMicros,
};
use std::{str::FromStr, time::Duration};
use tokio::time::Instant;

/// What a store is called in a fault.
pub(super) const WHAT: &str = "the session store";

/// Requests that a batch may carry.
pub(super) const BATCH: usize = 64;
/// Callers that may wait for each kind of batch; the next is refused at once. Somebody behind 4096 others would not be
/// served within the timeout by a database that far behind.
pub(super) const QUEUE: usize = 4096;
/// Published events that one `trim` removes at the most; the rest waits for the next.
pub(super) const TRIMMED_AT_ONCE: i64 = 10_000;
/// Sessions that one statement of a sweep moves, and statements of one sweep, at the most; the rest waits for the next.
pub(super) const SWEPT_AT_ONCE: i64 = 500;
pub(super) const SWEEP_STATEMENTS: u32 = 400;

/// How long a replica whose lease has lapsed is remembered at least, so that one that wakes up late does not get a fence
/// that it had before. It is past every wait and retry of a claim, and a row for each start of a process is little.
pub(super) const REMEMBERED: Duration = Duration::from_hours(24);

/// How long an audit may take in all. It asks a few large questions.
pub(super) const AUDIT_TIMEOUT: Duration = Duration::from_mins(5);

/// Adds what was found against an invariant, but no more than `limit` of each.
pub(super) fn add_findings(
    findings: &mut Vec<Finding>,
    invariant: &'static str,
    rows: Vec<(String,)>,
    limit: u32,
) {
    let already = findings.iter().filter(|finding| finding.invariant == invariant).count();
    let room = (limit as usize).saturating_sub(already);
    findings.extend(rows.into_iter().take(room).map(|(what,)| Finding { invariant, what }));
}

/// A claim that the store left out of its batch.
pub(super) fn refused_claim() -> Fault {
    Fault::unavailable(WHAT, "the claim's replica has no lease, or registered again since")
}

/// A release on its way to the database: what it waits for a batch and a connection makes its end longer ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) held: Held,
    ago: Duration,
    since: Instant,
}

impl Ended {
    pub(super) fn now(Release { held, ago }: Release) -> Self {
        Self { held, ago, since: Instant::now() }
    }

    pub(super) fn ago(&self) -> Duration {
        self.ago.saturating_add(self.since.elapsed())
    }
}

/// Microseconds, as durations are bound. Longer than a century is a century: it only has to fit.
pub(super) fn micros(duration: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_hours(24 * 365 * 100);
    i64::try_from(duration.min(CENTURY).as_micros()).expect("a century of microseconds fits 63 bits")
}

/// Microseconds that were measured between two readings of a clock that may have been set back between them.
pub(super) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// An id as it was stored. Only what parsed was ever written, by us.
pub(super) fn id<T: FromStr<Err = IdError>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: IdError| Fault::failed(WHAT, error))
}

/// Session, generation.
pub(super) const fn held((session, generation): (i64, i64)) -> Held {
    Held { session_id: SessionId(session), generation: Generation(generation) }
}

/// Session, agent.
pub(super) fn present((session, agent): (i64, String)) -> Result<Present, Fault> {
    Ok(Present { session_id: SessionId(session), agent_id: id(&agent)? })
}

/// Session, agent, when it entered and left.
pub(super) type StayRow = (i64, String, i64, Option<i64>);

pub(super) fn stay((session, agent, entered, left): StayRow) -> Result<Stay, Fault> {
    Ok(Stay {
        session_id: SessionId(session),
        agent_id: id(&agent)?,
        entered_at: UnixMicros(entered),
        left_at: left.map(UnixMicros),
    })
}

/// Position, operation, session, agent, classroom.
pub(super) type PendingRow = (i64, String, i64, String, String);

pub(super) fn pending(
    (position, operation, session, agent, classroom): PendingRow,
) -> Result<Pending, Fault> {
    let operation = match operation.as_str() {
        "entered" => Operation::Entered,
        "left" => Operation::Left,
        _ => {
            let why = "an event in the outbox is neither entered nor left";
            return Err(Fault::failed(WHAT, why));
        }
    };
    Ok(Pending {
        position,
        operation,
        session_id: SessionId(session),
        key: SessionKey { agent_id: id(&agent)?, classroom_id: id(&classroom)? },
    })
}
