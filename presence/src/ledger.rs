//! What this process answers for: every session from its claim to its release, with or without a socket.
//!
//! What the store has under this replica's name and the ledger has not is a ghost; what the ledger has and the store
//! has not is a socket without a session. Both are looked for, and neither is ever to be found.

use crate::hub::Mailbox;
use presence_core::{
    ids::{Generation, SessionId},
    session::Held,
    time::Time,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<HashMap<SessionId, Entry>>>);

#[derive(Debug)]
struct Entry {
    generation: Generation,
    since: Time,
    mailbox: Weak<Mailbox>,
}

/// A session that this process answers for until this is dropped.
#[derive(Debug)]
pub struct Line {
    ledger: Ledger,
    held: Held,
}

impl Ledger {
    /// Enters a session that was claimed. A later claim of it takes the line's place.
    pub fn enter(&self, held: Held, since: Time, mailbox: &Arc<Mailbox>) -> Line {
        let entry = Entry { generation: held.generation, since, mailbox: Arc::downgrade(mailbox) };
        let mut entries = self.lock();
        if entries.get(&held.session_id).is_none_or(|older| older.generation < held.generation) {
            entries.insert(held.session_id, entry);
        }
        drop(entries);
        Line { ledger: self.clone(), held }
    }

    /// All of it, and since when.
    pub fn entries(&self) -> HashMap<Held, Time> {
        let held = |(id, entry): (&SessionId, &Entry)| {
            (Held { session_id: *id, generation: entry.generation }, entry.since)
        };
        self.lock().iter().map(held).collect()
    }

    /// Those that have a socket which hears commands.
    pub fn with_sockets(&self) -> HashSet<Held> {
        let entries = self.lock();
        let has_socket = entries.iter().filter(|(_, entry)| entry.mailbox.strong_count() > 0);
        has_socket.map(|(id, entry)| Held { session_id: *id, generation: entry.generation }).collect()
    }

    /// Where the socket of a session hears commands, if it still has one.
    pub fn mailbox(&self, held: Held) -> Option<Arc<Mailbox>> {
        let entries = self.lock();
        let entry = entries.get(&held.session_id).filter(|entry| entry.generation == held.generation)?;
        entry.mailbox.upgrade()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub const fn held(&self) -> Held {
        self.held
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut entries = self.ledger.lock();
        if entries.get(&self.held.session_id).is_some_and(|entry| entry.generation == self.held.generation) {
            entries.remove(&self.held.session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(generation: i64) -> Held {
        Held { session_id: SessionId(7), generation: Generation(generation) }
    }

    #[test]
    fn the_late_end_of_an_older_claim_leaves_the_later_one_in_place() {
        let (ledger, mailbox) = (Ledger::default(), Arc::new(Mailbox::new(1)));
        let older = ledger.enter(held(1), Time(0), &mailbox);
        let newer = ledger.enter(held(2), Time(5), &mailbox);
        drop(older);
        assert_eq!(ledger.entries(), HashMap::from([(held(2), Time(5))]));
        assert!(ledger.mailbox(held(1)).is_none() && ledger.mailbox(held(2)).is_some());
        drop(newer);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_claim_that_is_entered_late_takes_nobody_s_place() {
        let (ledger, mailbox) = (Ledger::default(), Arc::new(Mailbox::new(1)));
        let _newer = ledger.enter(held(2), Time(5), &mailbox);
        drop(ledger.enter(held(1), Time(6), &mailbox));
        assert_eq!(ledger.len(), 1);
    }
}
