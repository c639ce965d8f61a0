//! What the database held: the rows that a reader wrote, by dump.

use presence_api::history::{Act, Entry, Key};
use std::collections::BTreeMap;

/// A session's row, live (no end) or ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) line: usize,
    pub(crate) session_id: i64,
    pub(crate) key: &'a Key,
    pub(crate) started_at: i64,
    pub(crate) ended_at: Option<i64>,
    /// Of live rows.
    pub(crate) generation: Option<i64>,
}

/// An event that waited to be published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub(crate) line: usize,
    pub(crate) session_id: i64,
    pub(crate) operation: &'a str,
    pub(crate) key: &'a Key,
}

/// All that the database held at one moment.
#[derive(Debug, Default)]
pub(crate) struct Dump<'a> {
    pub(crate) began: i64,
    pub(crate) at: i64,
    pub(crate) live: Vec<Row<'a>>,
    pub(crate) ended: Vec<Row<'a>>,
    pub(crate) waiting: Vec<Waiting<'a>>,
    /// The line that closes it, and how many rows of each kind it says there were.
    pub(crate) closed: Option<(usize, [u64; 3])>,
}

impl<'a> Dump<'a> {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row<'a>> {
        self.ended.iter().chain(&self.live)
    }

    pub(crate) fn counts(&self) -> [u64; 3] {
        [self.live.len() as u64, self.ended.len() as u64, self.waiting.len() as u64]
    }

    fn is_blank(&self) -> bool {
        self.counts() == [0; 3]
    }

    fn extend_to(&mut self, entry: &Entry) {
        let blank = self.is_blank();
        self.began = if blank { entry.began } else { self.began.min(entry.began) };
        self.at = if blank { entry.at } else { self.at.max(entry.at) };
    }

    fn add(&mut self, line: usize, entry: &'a Entry) {
        match &entry.act {
            Act::Live { session_id, key, generation, started_at, .. } => self.live.push(Row {
                line,
                session_id: *session_id,
                key,
                started_at: *started_at,
                ended_at: None,
                generation: Some(*generation),
            }),
            Act::Ended { session_id, key, started_at, ended_at } => self.ended.push(Row {
                line,
                session_id: *session_id,
                key,
                started_at: *started_at,
                ended_at: Some(*ended_at),
                generation: None,
            }),
            Act::Waiting { session_id, operation, key } => {
                self.waiting.push(Waiting { line, session_id: *session_id, operation, key });
            }
            _ => {}
        }
    }

    fn join(&mut self, other: Self) {
        if self.is_blank() {
            *self = other;
            return;
        }
        self.began = self.began.min(other.began);
        self.at = self.at.max(other.at);
        self.live.extend(other.live);
        self.ended.extend(other.ended);
        self.waiting.extend(other.waiting);
    }
}

/// Every dump, by the time it was taken. Lines that no `Dumped` closes are one dump, whoever wrote them.
pub(crate) fn of(history: &[Entry]) -> Vec<Dump<'_>> {
    let mut open: BTreeMap<&str, Dump<'_>> = BTreeMap::new();
    let mut dumps = Vec::new();
    for (line, entry) in history.iter().enumerate() {
        match &entry.act {
            Act::Live { .. } | Act::Ended { .. } | Act::Waiting { .. } => {
                let dump = open.entry(&entry.actor).or_default();
                dump.extend_to(entry);
                dump.add(line, entry);
            }
            Act::Dumped { live, ended, waiting } => {
                let mut dump = open.remove(entry.actor.as_str()).unwrap_or_default();
                dump.extend_to(entry);
                dump.closed = Some((line, [*live, *ended, *waiting]));
                dumps.push(dump);
            }
            _ => {}
        }
    }
    let mut rest = Dump::default();
    for dump in open.into_values() {
        rest.join(dump);
    }
    if !rest.is_blank() {
        dumps.push(rest);
    }
    dumps.sort_by_key(|dump| (dump.at, dump.began));
    dumps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(at: i64, actor: &str) -> Entry {
        let key = Key { agent_id: "a".into(), classroom_id: "c".into() };
        let act = Act::Live { session_id: 1, key, generation: 1, replica: "r".into(), started_at: 0 };
        Entry { began: at, at, actor: actor.into(), act }
    }

    fn dumped(at: i64) -> Entry {
        let act = Act::Dumped { live: 1, ended: 0, waiting: 0 };
        Entry { began: at, at, actor: "reader".into(), act }
    }

    #[test]
    fn lines_without_a_close_are_one_dump() {
        let history = [live(1, "reader"), live(2, "other")];
        let dumps = of(&history);
        assert_eq!((dumps.len(), dumps[0].live.len(), dumps[0].began, dumps[0].at), (1, 2, 1, 2));
    }

    #[test]
    fn each_close_ends_a_dump_and_an_empty_one_counts() {
        let history = [live(1, "reader"), dumped(1), dumped(5)];
        let dumps = of(&history);
        assert_eq!(dumps.iter().map(|dump| dump.live.len()).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(dumps[1].at, 5);
    }
}
