//! What a whole swarm has been through: counts for the line of each second and for the summary at the end.

use super::conduct::ServerId;
use crate::{histogram::Histogram, latency::Latency};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The reasons that are counted by name; a server that makes up more has them counted as `other`.
const REASONS: usize = 64;
/// Servers by which contests are kept apart.
const OWNERS: usize = 256;
/// Seconds in which moves are counted one by one: a day, the longest that a swarm lives.
const SECONDS: usize = 24 * 3600;

/// Where one agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not begun.
    Waiting,
    /// It is out, and wants to be in.
    Connecting,
    Connected,
    /// It is in, and was told to go elsewhere.
    Told,
    /// It is out for good.
    Done,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Board {
    // Now.
    pub(crate) connected: usize,
    pub(crate) connecting: usize,
    pub(crate) told: usize,
    pub(crate) done: usize,
    /// Agents that were in at least once.
    pub(crate) been_in: usize,
    /// Agents with two sockets in.
    pub(crate) pairs: usize,
    // So far.
    pub(crate) counts: Counts,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Why the first connect that failed did.
    pub(crate) first_failure: Option<String>,
    /// From the beginning of a connect to its `connect_success`.
    pub(crate) entering: Histogram,
    /// How long an agent was without a socket, when it was told or lost; nothing for those who made before they broke.
    pub(crate) gaps: Histogram,
    /// From when an event was due to when an agent read it: of the last second, and of all.
    pub(crate) latency: Histogram,
    pub(crate) latencies: Histogram,
    /// Agents that moved because they were told to, by second.
    pub(crate) moves: Vec<u32>,
    /// How long the second socket of an agent took to come in, by the server of the first one.
    pub(crate) contests: BTreeMap<ServerId, Histogram>,
}

/// Numbers that only grow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) asked: u64,
    pub(crate) entered: u64,
    /// Came back with every event since.
    pub(crate) resumed: u64,
    /// Asked to, and got the state instead.
    pub(crate) not_resumed: u64,
    pub(crate) resynced: u64,
    pub(crate) refused: u64,
    /// No answer: it may have happened.
    pub(crate) unknown: u64,
    /// Never asked: nobody listened, or no handshake.
    pub(crate) failed: u64,
    pub(crate) told: u64,
    pub(crate) moved: u64,
    /// Of those that were told: the old socket was closed before the new one was in.
    pub(crate) broke_before_make: u64,
    /// Lost the last socket without having wanted to.
    pub(crate) lost: u64,
    pub(crate) replaced: u64,
    pub(crate) left: u64,
    pub(crate) vanished: u64,
    pub(crate) reloaded: u64,
    pub(crate) doubled: u64,
    /// Two sockets of one agent that nobody replaced.
    pub(crate) unsettled: u64,
    pub(crate) stalls: u64,
    pub(crate) heard: u64,
    /// Heard for the second time, on another socket of the same agent: make-before-break, as it should be.
    pub(crate) again: u64,
    /// Not above the position before it on the same socket.
    pub(crate) disordered: u64,
    pub(crate) gibberish: u64,
    pub(crate) published: u64,
    pub(crate) unacknowledged: u64,
}

impl Board {
    /// An agent changed from one standing to another.
    pub(crate) fn change(&mut self, before: Standing, after: Standing) {
        if before == after {
            return;
        }
        for (standing, change) in [(before, usize::MAX), (after, 1)] {
            let add = |count: &mut usize| *count = count.wrapping_add(change);
            match standing {
                Standing::Waiting => {}
                Standing::Connecting => add(&mut self.connecting),
                Standing::Connected => add(&mut self.connected),
                Standing::Told => {
                    add(&mut self.connected);
                    add(&mut self.told);
                }
                Standing::Done => add(&mut self.done),
            }
        }
    }

    /// An agent has so many sockets in, and had so many before.
    pub(crate) const fn hold(&mut self, before: usize, after: usize) {
        match (before, after) {
            (0 | 1, 2) => self.pairs += 1,
            (2, 0 | 1) => self.pairs = self.pairs.saturating_sub(1),
            _ => {}
        }
    }

    pub(crate) fn contest(&mut self, owner: ServerId, micros: i64) {
        if self.contests.len() < OWNERS || self.contests.contains_key(&owner) {
            self.contests.entry(owner).or_default().add(micros);
        }
    }

    pub(crate) fn refuse(&mut self, reason: &str) {
        self.counts.refused += 1;
        let room = self.refused.len() < REASONS;
        let name = if room || self.refused.contains_key(reason) { reason } else { "other" };
        *self.refused.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn moved(&mut self, millis: u64) {
        self.counts.moved += 1;
        let second = usize::try_from(millis / 1000).unwrap_or(usize::MAX).min(SECONDS);
        if self.moves.len() <= second {
            self.moves.resize(second + 1, 0);
        }
        self.moves[second] += 1;
    }

    /// The most agents that moved in one second.
    pub(crate) fn most_moves(&self) -> u32 {
        self.moves.iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn all_latencies(&self) -> Histogram {
        let mut all = self.latencies.clone();
        all.merge(&self.latency);
        all
    }

    /// The line of this second; what is of one second begins anew.
    pub(crate) fn line(&mut self) -> String {
        let p99 = self.latency.latency().map_or("-".into(), |latency| millis(latency.p99));
        self.latencies.merge(&self.latency);
        self.latency = Histogram::default();
        let Counts { resumed, resynced, refused, lost, heard, .. } = self.counts;
        format!(
            "connected {}, connecting {}, told {}; so far: resumed {resumed}, resynced {resynced}, refused {refused}, \
             lost {lost}, heard {heard}; p99 {p99}",
            self.connected, self.connecting, self.told,
        )
    }

    /// Everything, for machines.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let latencies = self.all_latencies();
        let mut summary = Map::new();
        for (name, value) in [
            ("connected", self.connected),
            ("connecting", self.connecting),
            ("told", self.told),
            ("done", self.done),
            ("been_in", self.been_in),
            ("pairs", self.pairs),
        ] {
            summary.insert(name.into(), json!(value));
        }
        summary.insert("counts".into(), self.counts.to_json());
        summary.insert("refused".into(), json!(self.refused));
        summary.insert("first_failure".into(), json!(self.first_failure));
        summary.insert("most_moves_in_a_second".into(), json!(self.most_moves()));
        for (name, histogram) in
            [("entering_ms", &self.entering), ("gap_ms", &self.gaps), ("latency_ms", &latencies)]
        {
            let [p50, p99, max] = Latency::columns(histogram.latency());
            summary.insert(name.into(), json!({ "p50": p50, "p99": p99, "max": max }));
        }
        summary
    }
}

impl Counts {
    fn to_json(self) -> Value {
        json!({
            "asked": self.asked, "entered": self.entered, "resumed": self.resumed,
            "not_resumed": self.not_resumed, "resynced": self.resynced, "refused": self.refused,
            "unknown": self.unknown, "failed": self.failed, "told": self.told, "moved": self.moved,
            "broke_before_make": self.broke_before_make, "lost": self.lost, "replaced": self.replaced,
            "left": self.left, "vanished": self.vanished, "reloaded": self.reloaded, "doubled": self.doubled,
            "unsettled": self.unsettled, "stalls": self.stalls, "heard": self.heard, "again": self.again,
            "disordered": self.disordered, "gibberish": self.gibberish, "published": self.published,
            "unacknowledged": self.unacknowledged,
        })
    }
}

fn millis(micros: u32) -> String {
    format!("{:.1} ms", f64::from(micros) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings_are_counted_as_they_change() {
        let mut board = Board::default();
        board.change(Standing::Waiting, Standing::Connecting);
        board.change(Standing::Connecting, Standing::Told);
        assert_eq!((board.connected, board.told, board.connecting), (1, 1, 0));
        board.change(Standing::Told, Standing::Connected);
        board.change(Standing::Connected, Standing::Connecting);
        assert_eq!((board.connected, board.told, board.connecting), (0, 0, 1));
        board.change(Standing::Connecting, Standing::Done);
        assert_eq!((board.connecting, board.done), (0, 1));
    }

    #[test]
    fn reasons_that_a_server_makes_up_are_bounded() {
        let mut board = Board::default();
        for number in 0..200 {
            board.refuse(&format!("reason-{number}"));
        }
        assert_eq!(board.counts.refused, 200);
        assert_eq!(board.refused.len(), REASONS + 1);
        assert_eq!(board.refused["other"], 136);
    }

    #[test]
    fn moves_are_counted_by_second_and_the_lines_latency_is_its_own() {
        let mut board = Board::default();
        for millis in [100, 900, 2_500] {
            board.moved(millis);
        }
        assert_eq!((board.moves.as_slice(), board.most_moves()), ([2, 0, 1].as_slice(), 2));
        board.latency.add(2_000);
        assert!(board.line().ends_with("p99 2.0 ms"));
        assert!(board.line().ends_with("p99 -"));
        assert_eq!(board.summary()["latency_ms"]["max"], json!(2.0));
    }
}
