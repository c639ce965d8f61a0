//! The seam to the checker: one history in, one verdict out, held to the bounds of the cluster's quick settings.

use anyhow::{Result, ensure};
use presence_api::{
    event::ENTITY,
    history::{Act, Entry, Outcome},
};
pub use presence_checker::Invariant;
use presence_checker::{Standing, Terms, judge as verdict};
use std::collections::{HashMap, HashSet};

/// A lease of 2 s, a return window of 2 s, a drain of 4 s; and a machine that does more than it can.
fn terms() -> Terms {
    Terms { ghost_ms: 15_000, overlap_ms: 12_000, unseen_ms: 8_000, ..Terms::default() }
}

/// Fails with the verdict's text unless all that a history has material for was judged and nothing is violated.
pub fn judge(history: &[Entry]) -> Result<()> {
    let mut demanded = Invariant::OF_A_HISTORY.to_vec();
    if history.iter().any(|entry| matches!(entry.act, Act::Admitted { .. })) {
        demanded.push(Invariant::I8);
    }
    Ok(verdict(history, &terms()).expect(&demanded)?)
}

/// The same for a fault after which the others cannot hold: what they find is not a finding.
pub fn judge_only(history: &[Entry], demanded: &[Invariant]) -> Result<()> {
    let verdict = verdict(history, &terms());
    let held = demanded.iter().all(|invariant| verdict.standing(*invariant) == Standing::Held);
    ensure!(held, "of this only {demanded:?} are demanded:\n{verdict}");
    Ok(())
}

/// Fails if a session id belongs to two agents, whoever said so: whoever entered, the stream or the database. It needs
/// nothing that a failover may have lost.
pub fn no_id_is_given_twice(history: &[Entry]) -> Result<()> {
    let mut owners: HashMap<i64, (&str, &str)> = HashMap::new();
    let given = history.iter().filter_map(|entry| match &entry.act {
        Act::Connect { key, outcome: Outcome::Entered { session_id, .. }, .. }
        | Act::Live { session_id, key, .. }
        | Act::Ended { session_id, key, .. }
        | Act::Waiting { session_id, key, .. } => Some((*session_id, (&*key.agent_id, &*key.classroom_id))),
        Act::Published { id, about, .. } if id.entity_type == ENTITY => {
            Some((id.sequence_id, (about.about.as_deref()?, &*about.classroom_id)))
        }
        _ => None,
    });
    for (id, owner) in given {
        let first = *owners.entry(id).or_insert(owner);
        ensure!(first == owner, "session {id} was given to {first:?} and to {owner:?}");
    }
    ensure!(!owners.is_empty(), "nobody was given an id");
    Ok(())
}

/// A history as if there had been no other classrooms than these.
pub fn only_in(history: &[Entry], is_one: impl Fn(&str) -> bool) -> Vec<Entry> {
    let classroom = |entry: &Entry| match &entry.act {
        Act::Connect { key, .. }
        | Act::Live { key, .. }
        | Act::Ended { key, .. }
        | Act::Waiting { key, .. } => Some(key.classroom_id.clone()),
        Act::Heard { about, .. } | Act::Published { about, .. } => Some(about.classroom_id.clone()),
        _ => None,
    };
    let is_here = |entry: &&Entry| {
        matches!(entry.act, Act::Connect { .. }) && classroom(entry).is_some_and(|it| is_one(&it))
    };
    let actors: HashSet<_> = history.iter().filter(is_here).map(|entry| &entry.actor).collect();
    let is_kept = |entry: &&Entry| match &entry.act {
        Act::Resync { .. } | Act::Told { .. } | Act::Closed { .. } | Act::Heard { .. } => {
            actors.contains(&entry.actor)
        }
        // It counts lines that are no longer there; without it all that are left are one dump.
        Act::Dumped { .. } => false,
        _ => classroom(entry).is_none_or(|it| is_one(&it)),
    };
    history.iter().filter(is_kept).cloned().collect()
}
