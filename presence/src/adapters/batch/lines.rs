//! Who waits for what: a line of requests per key, and the keys that may be served next. Pure bookkeeping.

use super::{Abandoned, Caller, Entry, SameKey, Work};
use std::collections::{HashMap, VecDeque, hash_map};

/// The lines of all keys that have requests waiting or under way.
pub(super) struct Lines<W: Work> {
    /// A key that is under way has a line too, if an empty one, so that what comes for it has to wait.
    waiting: HashMap<W::Key, VecDeque<Entry<W>>>,
    /// Keys with requests waiting and none under way, each once, in the order in which they are served.
    ready: VecDeque<W::Key>,
}

/// A request and everybody who gets its response.
pub(super) struct Group<W: Work> {
    pub(super) key: W::Key,
    pub(super) request: W::Request,
    pub(super) callers: Vec<Caller<W>>,
}

impl<W: Work> Lines<W> {
    pub(super) fn new() -> Self {
        Self { waiting: HashMap::new(), ready: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, entry: Entry<W>) {
        let key = W::key(&entry.request);
        match self.waiting.entry(key) {
            hash_map::Entry::Occupied(mut line) => line.get_mut().push_back(entry),
            hash_map::Entry::Vacant(vacant) => {
                self.ready.push_back(vacant.key().clone());
                vacant.insert(VecDeque::from([entry]));
            }
        }
    }

    /// The next batch: at most `limit` groups of distinct keys, which are under way from now on.
    pub(super) fn take(&mut self, limit: usize) -> Vec<Group<W>> {
        let mut batch = Vec::new();
        while batch.len() < limit
            && let Some(key) = self.ready.pop_front()
        {
            match self.waiting.get_mut(&key).and_then(next_of) {
                Some((request, callers)) => batch.push(Group { key, request, callers }),
                // Everybody who waited for it has gone.
                None => drop(self.waiting.remove(&key)),
            }
        }
        batch
    }

    /// These keys are no longer under way.
    pub(super) fn finish(&mut self, keys: Vec<W::Key>) {
        for key in keys {
            if self.waiting.get(&key).is_some_and(|line| !line.is_empty()) {
                self.ready.push_back(key);
            } else {
                self.waiting.remove(&key);
            }
        }
    }
}

fn next_of<W: Work>(line: &mut VecDeque<Entry<W>>) -> Option<(W::Request, Vec<Caller<W>>)> {
    if W::ABANDONED == Abandoned::Dropped {
        while line.front().is_some_and(|entry| entry.caller.reply.is_closed()) {
            line.pop_front();
        }
    }
    let Entry { request, caller } = line.pop_front()?;
    let mut callers = vec![caller];
    if W::SAME_KEY == SameKey::Shares {
        callers.extend(line.drain(..).map(|entry| entry.caller));
    }
    Some((request, callers))
}
