//! What this process answers for: every session from its claim to its release, with or without a socket; and the
//! guests, who were let in and are in no classroom.
//!
//! What the store has under this replica's name and the ledger has not is a ghost; what the ledger has and the store
//! has not is a socket without a session. `lifecycle/reconcile.rs` looks for both. There is a line for each claim, not
//! for each session: a socket that was claimed over stays in the book until it is closed.

use crate::hub::{Command, Mailbox};
use presence_core::{ids::SessionKey, session::Held, time::Time};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    sessions: HashMap<Held, Entry>,
    guests: HashMap<u64, Weak<Mailbox>>,
    last_guest: u64,
}

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    Session(Held),
    Guest(u64),
}

#[derive(Debug)]
struct Entry {
    key: SessionKey,
    since: Time,
    mailbox: Weak<Mailbox>,
}

/// A session that this process answers for until this is dropped.
#[derive(Debug)]
pub struct Line {
    ledger: Ledger,
    held: Held,
    /// Whose line it is.
    mailbox: Weak<Mailbox>,
}

/// A guest whom this process has until this is dropped.
#[derive(Debug)]
pub struct Guest {
    ledger: Ledger,
    number: u64,
}

impl Ledger {
    /// Enters a guest.
    pub fn welcome(&self, mailbox: &Arc<Mailbox>) -> Guest {
        let mut book = self.lock();
        book.last_guest += 1;
        let number = book.last_guest;
        book.guests.insert(number, Arc::downgrade(mailbox));
        Guest { ledger: self.clone(), number }
    }

    /// Enters a session that was claimed.
    pub fn enter(&self, held: Held, key: &SessionKey, since: Time, mailbox: &Arc<Mailbox>) -> Line {
        let mailbox = Arc::downgrade(mailbox);
        let entry = Entry { key: key.clone(), since, mailbox: mailbox.clone() };
        // A store that lost its latest commits (a standby that lagged) gives the same id and generation once more: the
        // row is the later claim's.
        let lost = self.lock().sessions.insert(held, entry).and_then(|lost| lost.mailbox.upgrade());
        if let Some(lost) = lost {
            lost.command(Command::Disowned);
        }
        Line { ledger: self.clone(), held, mailbox }
    }

    /// All of it, and since when.
    pub fn entries(&self) -> BTreeMap<Held, Time> {
        self.lock().sessions.iter().map(|(held, entry)| (*held, entry.since)).collect()
    }

    /// Those that have a socket.
    pub fn with_sockets(&self) -> BTreeSet<Who> {
        let book = self.lock();
        let has_socket = |mailbox: &Weak<Mailbox>| mailbox.upgrade().is_some_and(|it| it.has_socket());
        let sessions = book.sessions.iter().map(|(held, entry)| (Who::Session(*held), &entry.mailbox));
        let guests = book.guests.iter().map(|(number, mailbox)| (Who::Guest(*number), mailbox));
        sessions.chain(guests).filter(|(_, mailbox)| has_socket(mailbox)).map(|(who, _)| who).collect()
    }

    /// Where the socket of a session hears commands, if it still has one.
    pub fn mailbox(&self, held: Held) -> Option<Arc<Mailbox>> {
        self.mailbox_of(Who::Session(held))
    }

    /// The same, of a guest, too.
    pub fn mailbox_of(&self, who: Who) -> Option<Arc<Mailbox>> {
        let book = self.lock();
        match who {
            Who::Session(held) => &book.sessions.get(&held)?.mailbox,
            Who::Guest(number) => book.guests.get(&number)?,
        }
        .upgrade()
    }

    /// The same, and what it holds.
    pub fn socket(&self, held: Held) -> Option<(SessionKey, Arc<Mailbox>)> {
        let book = self.lock();
        let entry = book.sessions.get(&held)?;
        Some((entry.key.clone(), entry.mailbox.upgrade()?))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.lock().sessions.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
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
        let entries = &mut self.ledger.lock().sessions;
        if entries.get(&self.held).is_some_and(|entry| entry.mailbox.ptr_eq(&self.mailbox)) {
            entries.remove(&self.held);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.ledger.lock().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::ids::{Generation, SessionId};
    use std::task::{Context, Poll, Waker};

    fn held(generation: i64) -> Held {
        Held { session_id: SessionId(7), generation: Generation(generation) }
    }

    fn key() -> SessionKey {
        SessionKey { agent_id: "web.a.b".parse().unwrap(), classroom_id: "c".parse().unwrap() }
    }

    fn told(mailbox: &Mailbox) -> Poll<Command> {
        mailbox.poll_command(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_claim_that_was_claimed_over_stays_in_the_book_until_its_socket_is_closed() {
        let (ledger, mailbox) = (Ledger::default(), Arc::new(Mailbox::new(1)));
        let older = ledger.enter(held(1), &key(), Time(0), &mailbox);
        // The later claim fails on its way to the seat: the older socket is not forgotten by it.
        drop(ledger.enter(held(2), &key(), Time(5), &mailbox));
        assert_eq!(ledger.entries(), BTreeMap::from([(held(1), Time(0))]));
        assert!(ledger.socket(held(1)).is_some_and(|(of, _)| of == key()));
        assert!(ledger.mailbox(held(2)).is_none());
        drop(older);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_socket_whose_very_claim_was_given_to_another_is_told_and_its_end_changes_nothing() {
        let ledger = Ledger::default();
        let (first, second) = (Arc::new(Mailbox::new(1)), Arc::new(Mailbox::new(1)));
        let lost = ledger.enter(held(1), &key(), Time(0), &first);
        let line = ledger.enter(held(1), &key(), Time(5), &second);
        assert_eq!((told(&first), told(&second)), (Poll::Ready(Command::Disowned), Poll::Pending));
        drop(lost);
        assert_eq!(ledger.entries(), BTreeMap::from([(line.held(), Time(5))]));
        drop(line);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn a_guest_has_a_socket_and_no_session() {
        let (ledger, mailbox) = (Ledger::default(), Arc::new(Mailbox::new(1)));
        let guest = ledger.welcome(&mailbox);
        let line = ledger.enter(held(1), &key(), Time(0), &mailbox);
        let both = BTreeSet::from([Who::Session(held(1)), Who::Guest(guest.number)]);
        assert_eq!((ledger.len(), ledger.with_sockets()), (1, both));
        drop(guest);
        assert_eq!(ledger.with_sockets(), BTreeSet::from([Who::Session(held(1))]));
        drop(line);
    }

    #[test]
    fn a_session_without_a_socket_is_still_answered_for() {
        let ledger = Ledger::default();
        let line = ledger.enter(held(1), &key(), Time(0), &Arc::new(Mailbox::new(1)));
        assert!(ledger.socket(held(1)).is_none() && ledger.mailbox(held(1)).is_none());
        assert_eq!(ledger.entries().len(), 1);
        drop(line);
        assert!(ledger.is_empty());
    }
}
