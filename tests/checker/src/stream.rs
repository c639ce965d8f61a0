//! What was published: the stream by position, by classroom and, for our own events, by key. I3.

use crate::{
    record::Record,
    verdict::{Invariant, Sheet},
};
use presence_api::{
    event::{ENTITY, EventId, Operation},
    history::{About, Act, Entry, Key},
};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) line: usize,
    pub(crate) at: i64,
    pub(crate) seq: u64,
    pub(crate) id: &'a EventId,
    pub(crate) about: &'a About,
}

impl Publication<'_> {
    /// Whether this agent's sockets hear it. Our own events are sent by whom they are about.
    pub(crate) fn is_for(&self, agent: &str) -> bool {
        let own = self.id.entity_type == ENTITY && self.about.about.as_deref() == Some(agent);
        !own && self.about.sender.as_deref() != Some(agent)
            && self.about.receiver.as_deref().is_none_or(|receiver| receiver == agent)
    }
}

/// One of our own events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) line: usize,
    pub(crate) at: i64,
    pub(crate) seq: u64,
    pub(crate) operation: Operation,
    pub(crate) session_id: i64,
}

/// The stream as its witnesses know it.
#[derive(Debug, Default)]
pub(crate) struct Stream<'a> {
    /// By classroom, in order.
    pub(crate) rooms: BTreeMap<&'a str, Vec<Publication<'a>>>,
    pub(crate) by_seq: HashMap<u64, Publication<'a>>,
    /// Our own, by key, in order.
    pub(crate) own: BTreeMap<Key, Vec<Told>>,
    /// Two different events at one position.
    clashes: Vec<[usize; 2]>,
    /// What the witnesses know whole, in stretches that do not touch; none: all of it.
    ranges: Option<Vec<(u64, u64)>>,
    /// When a witness last looked; none: later than anything happened.
    looked_at: Option<i64>,
}

impl<'a> Stream<'a> {
    pub(crate) fn of(history: &'a [Entry]) -> Self {
        let mut stream = Self::default();
        for (line, entry) in history.iter().enumerate() {
            match &entry.act {
                Act::Published { seq, id, about } => {
                    stream.add(Publication { line, at: entry.at, seq: *seq, id, about });
                }
                Act::Witnessed { first, last } => {
                    stream.ranges.get_or_insert_default().push((*first, *last));
                    stream.looked_at = stream.looked_at.max(Some(entry.at));
                }
                _ => {}
            }
        }
        stream.ranges = stream.ranges.map(joined);
        stream.rooms.values_mut().for_each(|room| room.sort_by_key(|it| it.seq));
        stream.own.values_mut().for_each(|told| told.sort_by_key(|it| it.seq));
        stream
    }

    /// Two witnesses may have seen the same; that is one event.
    fn add(&mut self, it: Publication<'a>) {
        if let Some(known) = self.by_seq.get(&it.seq) {
            if (known.id, known.about) != (it.id, it.about) {
                self.clashes.push([known.line, it.line]);
            }
            return;
        }
        self.by_seq.insert(it.seq, it);
        self.rooms.entry(&it.about.classroom_id).or_default().push(it);
        let operation = match it.id.operation.as_str() {
            "entered" => Operation::Entered,
            "left" => Operation::Left,
            _ => return,
        };
        if let (ENTITY, Some(agent_id)) = (it.id.entity_type.as_str(), it.about.about.clone()) {
            let key = Key { agent_id, classroom_id: it.about.classroom_id.clone() };
            let Publication { line, at, seq, .. } = it;
            let told = Told { line, at, seq, operation, session_id: it.id.sequence_id };
            self.own.entry(key).or_default().push(told);
        }
    }

    pub(crate) fn is_witnessed(&self) -> bool {
        !self.by_seq.is_empty() || self.ranges.is_some()
    }

    /// Whether the witnesses had looked for the last time by then.
    pub(crate) fn is_unwatched_at(&self, moment: i64) -> bool {
        self.looked_at.is_some_and(|looked_at| looked_at < moment)
    }

    /// Whether all that lies between two positions is known.
    fn is_whole_between(&self, a: u64, b: u64) -> bool {
        self.range(a).is_some_and(|stretch| Some(stretch) == self.range(b))
    }

    /// Which stretch of what is known a position lies in; none: no witness looked there.
    pub(crate) fn range(&self, seq: u64) -> Option<usize> {
        let Some(ranges) = &self.ranges else { return Some(0) };
        let stretch = ranges.partition_point(|&(_, last)| last < seq);
        ranges.get(stretch).is_some_and(|&(first, _)| first <= seq).then_some(stretch)
    }
}

/// A witness that reads a growing stream several times knows one stretch of it.
fn joined(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match stretches.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => stretches.push((first, last)),
        }
    }
    stretches
}

/// I3: per key, `entered` and `left` alternate, beginning with `entered`; ids grow; none is there twice.
pub(crate) fn check(record: &Record<'_>, sheet: &mut Sheet) {
    let stream = &record.stream;
    for clash in &stream.clashes {
        sheet.find(Invariant::I3, clash, || "two events at one position of the stream".into());
    }
    for (key, told) in &stream.own {
        alternation(stream, key, told, sheet);
    }
    let events = stream.own.values().map(Vec::len).sum();
    let on = [(events, "events"), (stream.own.len(), "keys")];
    sheet.judged(Invariant::I3, &on, "no event of ours was published");
}

fn alternation(stream: &Stream<'_>, key: &Key, told: &[Told], sheet: &mut Sheet) {
    let mut seen: HashMap<(i64, Operation), Told> = HashMap::new();
    let mut last: Option<Told> = None;
    for &it in told {
        if let Some(first) = seen.insert((it.session_id, it.operation), it) {
            // A stream that was made anew is filled again with what it may have lost.
            if stream.is_whole_between(first.seq, it.seq) {
                sheet.find(Invariant::I3, &[first.line, it.line], || {
                    format!("{} is in the stream twice", worded(&it))
                });
            }
            continue;
        }
        let Some(before) = last.replace(it) else {
            if it.operation == Operation::Left {
                sheet.find(Invariant::I3, &[it.line], || {
                    format!("the first event of {} in {} is left", key.agent_id, key.classroom_id)
                });
            }
            continue;
        };
        if before.operation == it.operation && stream.is_whole_between(before.seq, it.seq) {
            sheet.find(Invariant::I3, &[before.line, it.line], || {
                format!("{} follows {}", worded(&it), worded(&before))
            });
        } else if before.session_id > it.session_id
            || (before.session_id == it.session_id && it.operation == Operation::Entered)
        {
            sheet.find(Invariant::I3, &[before.line, it.line], || {
                format!("{} comes after {}: ids do not grow", worded(&it), worded(&before))
            });
        }
    }
}

fn worded(told: &Told) -> String {
    format!("{}({})", told.operation.as_str(), told.session_id)
}
