//! What the store holds under a replica's name against what the replica answers for: ghosts and orphans.
//!
//! A ghost is a row that nobody answers for; it is given up. An orphan is a socket whose row is gone, or somebody
//! else's; it is told so, and gives nothing up. Both happen in passing all the time (a claim that is committed and not
//! answered yet, a release on its way), so one look proves neither: `Memory` keeps what the looks before it saw.

use crate::{ids::ReplicaId, replace::Holder, session::Held, time::Time};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds from the moment that a claim's row can be seen to the moment that its claimer has heard of it, or never
/// will: longer than any store lets a claim wait.
pub const CLAIM_PATIENCE: u64 = 5_500;

/// Looks that must have missed a row. Time alone does not prove that a claim was answered: the process may have slept,
/// and its answers with it. Between the second look and the third it was awake.
const LOOKS: u32 = 3;

/// What the looks so far have seen.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Rows that nobody answered for at the last look.
    missed: BTreeMap<Held, Missed>,
    /// Sessions that had no row at the last look.
    rowless: BTreeSet<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Missed {
    since: Time,
    looks: u32,
}

/// What a look came to, in the order of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub ghosts: Vec<Ghost>,
    pub orphans: Vec<Orphan>,
}

/// A row that nobody answers for, at the latest since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ghost {
    pub held: Held,
    pub since: Time,
}

/// A session that is answered for and had no row when the store was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    pub held: Held,
    /// The look before this one saw the same: it is no release on its way.
    pub seen_before: bool,
}

impl Memory {
    /// Compares the rows of a read that began at `read_began` with what was answered for when it had ended, each with the
    /// time that it was entered.
    pub fn look(&mut self, rows: &[Held], entries: &BTreeMap<Held, Time>, read_began: Time) -> Found {
        let missed = rows.iter().filter(|row| !entries.contains_key(row)).map(|row| {
            let before = self.missed.get(row);
            let missed = before.map_or(Missed { since: read_began, looks: 1 }, |before| Missed {
                looks: before.looks.saturating_add(1),
                ..*before
            });
            (*row, missed)
        });
        self.missed = missed.collect();

        let rows: BTreeSet<_> = rows.iter().collect();
        // What was entered later was committed later, perhaps, than the store was read.
        let had_to_be_there = entries.iter().filter(|(_, since)| **since < read_began).map(|(held, _)| *held);
        let rowless: BTreeSet<_> = had_to_be_there.filter(|held| !rows.contains(held)).collect();
        let before = std::mem::replace(&mut self.rowless, rowless);

        let is_ghost =
            |missed: &Missed| missed.looks >= LOOKS && read_began.since(missed.since) > CLAIM_PATIENCE;
        let ghosts = self.missed.iter().filter(|(_, missed)| is_ghost(missed));
        let orphans = self.rowless.iter();
        Found {
            ghosts: ghosts.map(|(held, missed)| Ghost { held: *held, since: missed.since }).collect(),
            orphans: orphans.map(|held| Orphan { held: *held, seen_before: before.contains(held) }).collect(),
        }
    }

    /// The looks so far prove nothing any more: the store was away, or the lease was.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// What an exact read says of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The row is there after all.
    Kept,
    /// The agent has a later socket: this one is the old one, and must not come back to take its place.
    Replaced,
    /// Nobody has the session, or a row that came back from the past: the agent's client is to come back.
    Lost,
}

/// Reads what became of a session of replica `me` from whoever holds its key now.
pub fn fate(held: Held, me: ReplicaId, holder: Option<Holder>) -> Fate {
    let Some(holder) = holder else { return Fate::Lost };
    let now = holder.held();
    if now == held && holder.replica_id == me {
        Fate::Kept
    } else if now >= held {
        Fate::Replaced
    } else {
        Fate::Lost
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
