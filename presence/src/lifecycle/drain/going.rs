//! Who is still to be told to go, in an order that no classroom and no time of arrival decides; and who was told.

use super::LOOK_EVERY;
use crate::{
    hub::Mailbox,
    ledger::{Ledger, Who},
    ports::clock::Clock,
};
use presence_core::{
    drain::shuffle,
    session::Held,
    time::{Time, millis},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The sockets here that were told to go. Bounded by the sockets that are open: those that have gone are forgotten.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashSet<Who>>);

impl Told {
    pub(super) fn insert(&self, who: Who) {
        self.lock().insert(who);
    }

    /// All are to be told again.
    pub(super) fn clear(&self) {
        *self.lock() = HashSet::new();
    }

    /// Those that have not gone, in a fixed order.
    pub(super) fn still_here(&self, ledger: &Ledger) -> Vec<Who> {
        let told = self.lock();
        ledger.with_sockets().into_iter().filter(|who| told.contains(who)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Who>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets that are to be told, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Untold {
    order: Vec<Who>,
    looked: Option<Time>,
}

impl Untold {
    /// Looks again, if it is time to.
    pub(super) fn look_if_due(&mut self, ledger: &Ledger, told: &Told, clock: &dyn Clock) {
        let now = clock.now();
        if self.looked.is_none_or(|at| now.since(at) >= millis(LOOK_EVERY)) {
            self.look(ledger, told, clock.chance());
            self.looked = Some(now);
        }
    }

    /// Looks anew: newcomers among the others, those who have gone left out.
    fn look(&mut self, ledger: &Ledger, told: &Told, seed: u64) {
        let mut live = ledger.with_sockets();
        let mut told = told.lock();
        told.retain(|who| live.contains(who));
        live.retain(|who| !told.contains(who));
        drop(told);
        self.order = live.into_iter().collect();
        shuffle(&mut self.order, seed);
    }

    pub(super) const fn len(&self) -> u64 {
        self.order.len() as u64
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The next ones that have not gone in the meantime.
    pub(super) fn take(&mut self, most: u64, ledger: &Ledger) -> Vec<(Who, Arc<Mailbox>)> {
        let here = |who| Some((who, ledger.mailbox_of(who).filter(|mailbox| mailbox.has_socket())?));
        let here = std::iter::from_fn(|| self.order.pop()).filter_map(here);
        here.take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
    }
}

/// What the store knows of them.
pub(super) fn sessions(of: &[Who]) -> Vec<Held> {
    let session = |who: &Who| match who {
        Who::Session(held) => Some(*held),
        Who::Guest(_) => None,
    };
    of.iter().filter_map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::ids::{Generation, SessionId, SessionKey};

    #[test]
    fn everybody_who_is_here_is_told_once_and_newcomers_too() {
        let ledger = Ledger::default();
        let enter = |id| {
            let mailbox = Arc::new(Mailbox::new(0));
            let held = Held { session_id: SessionId(id), generation: Generation(1) };
            let key = SessionKey { agent_id: "web.a.b".parse().unwrap(), classroom_id: "c".parse().unwrap() };
            (ledger.enter(held, &key, Time(0), &mailbox), mailbox)
        };
        let mut sockets: Vec<_> = (0..5).map(enter).collect();
        let (told, mut untold) = (Told::default(), Untold::default());
        untold.look(&ledger, &told, 1);
        let first = untold.take(3, &ledger);
        for (who, _) in &first {
            told.insert(*who);
        }
        let gone = untold.order.pop().unwrap();
        sockets.retain(|(line, _)| Who::Session(line.held()) != gone);
        sockets.push(enter(5));
        untold.look(&ledger, &told, 2);
        let second = untold.take(9, &ledger);
        for (who, _) in &second {
            told.insert(*who);
        }
        assert_eq!((first.len(), second.len()), (3, 2));
        let everybody: Vec<_> = sockets.iter().map(|(line, _)| Who::Session(line.held())).collect();
        assert_eq!(told.still_here(&ledger), everybody);
        untold.look(&ledger, &told, 3);
        assert!(untold.is_empty());
    }
}
