//! What a subscription may believe: which events of its classroom it has handed on, and whether any are missing.
//!
//! Pure. The server tells with each live message where the subject's previous one stands, so the messages of one
//! topic form a chain, and a broken link shows a loss. A loss across topics breaks no link until that topic speaks
//! again; for it there are `prove` and `compare`, with the stream's last position per topic. It never reads or repairs:
//! it says what must be.
//!
//! The invariant: of each topic, everything up to its head was handed on, or announced as a gap.

use std::collections::HashMap;

/// More topics than this between two comparisons are nobody's normal traffic: continuity is given up, and announced.
const MAX_TOPICS: usize = 1024;

#[derive(Debug)]
pub(super) struct Tracker {
    /// The highest position that was handed on, or proved to hold nothing of ours.
    delivered: u64,
    /// Up to here, nothing will come that is not already handed on or announced as a gap.
    settled: u64,
    /// The last position handed on per topic, where it lies above `settled`.
    heads: HashMap<String, u64>,
}

/// What to do with a live message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Deliver,
    /// It was handed on before.
    Seen,
    /// Something between the last event and this one is missing: read the stream, this one included.
    Missing,
    /// Something is missing behind what was handed on, too late to be put in order: announce a gap, then hand on.
    GapThenDeliver,
    /// This one itself is too late to be put in order: announce a gap instead.
    GapInstead,
}

/// What the stream's own last positions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Whole,
    /// The stream has more: read it.
    Behind,
    /// Something is missing behind what was handed on: announce a gap.
    Lost,
}

/// What the stream's last positions say of what is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Whole,
    /// Something is missing behind what was handed on: announce a gap.
    Lost,
    /// The replica that answered has not got what we have: ask again.
    Lagging,
}

impl Tracker {
    pub(super) fn new(position: u64) -> Self {
        Self { delivered: position, settled: position, heads: HashMap::new() }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// A live message of `topic` at `seq`, whose topic's previous message stands at `previous` (0: none).
    pub(super) fn live(&mut self, topic: &str, seq: u64, previous: u64) -> Verdict {
        let head = self.head(topic);
        if seq <= head {
            return Verdict::Seen;
        }
        if seq <= self.delivered {
            self.restart(self.delivered);
            return Verdict::GapInstead;
        }
        if previous > self.delivered {
            return Verdict::Missing;
        }
        let whole = previous <= head && self.heads.len() < MAX_TOPICS;
        if !whole {
            self.restart(self.delivered);
        }
        self.hand_on(topic, seq);
        if whole { Verdict::Deliver } else { Verdict::GapThenDeliver }
    }

    /// Nothing is open behind `delivered`, so there is nothing to prove.
    pub(super) fn is_settled(&self) -> bool {
        self.heads.is_empty()
    }

    /// The stream's last position per topic, up to `delivered`: whether everything behind it was handed on. To be
    /// known before the stream is read from there, which would bury a hole.
    pub(super) fn prove<'a>(&mut self, lasts: impl Iterator<Item = (&'a str, u64)>) -> Proof {
        let (mut lost, mut current) = (false, self.is_settled());
        for (topic, last) in lasts {
            lost |= last > self.head(topic);
            current |= last == self.delivered;
        }
        if lost {
            self.restart(self.delivered);
            Proof::Lost
        } else if current {
            self.restart(self.delivered);
            Proof::Whole
        } else {
            Proof::Lagging
        }
    }

    /// The stream's last position per topic, as of its position `as_of`.
    pub(super) fn compare<'a>(
        &mut self,
        lasts: impl Iterator<Item = (&'a str, u64)>,
        as_of: u64,
    ) -> Comparison {
        let (mut lost, mut behind) = (false, false);
        for (topic, last) in lasts {
            behind |= last > self.delivered;
            lost |= last > self.head(topic) && last <= self.delivered;
        }
        if lost {
            self.restart(self.delivered);
            return Comparison::Lost;
        }
        if behind {
            return Comparison::Behind;
        }
        // A replica that lags behind proves less.
        self.settled = self.settled.max(as_of.min(self.delivered));
        let settled = self.settled;
        self.heads.retain(|_, head| *head > settled);
        Comparison::Whole
    }

    /// Whatever came before `position` is settled: it was read without a hole, or a gap was announced.
    pub(super) fn restart(&mut self, position: u64) {
        *self = Self::new(position);
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    fn head(&self, topic: &str) -> u64 {
        self.heads.get(topic).copied().unwrap_or(self.settled)
    }

    fn hand_on(&mut self, topic: &str, seq: u64) {
        self.delivered = self.delivered.max(seq);
        match self.heads.get_mut(topic) {
            Some(head) => *head = seq,
            None => drop(self.heads.insert(topic.to_owned(), seq)),
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
