//! I4: what was published is what happened. A presence is a chain of sessions, from one `entered` to the next `left`:
//! a replace on another replica ends a session and begins the next one at the same moment, and tells nobody.

use crate::{
    dumps::{Dump, Row, Waiting},
    record::Record,
    stream::Told,
    terms::{Terms, micros},
    verdict::{
        Invariant::{I3, I4},
        Sheet,
    },
};
use presence_api::{
    event::Operation,
    history::{Act, Key},
};
use presence_core::close::Reason;
use std::collections::{BTreeMap, HashMap};

/// What the database and the stream say of one key.
#[derive(Default)]
struct Case<'r, 'a> {
    /// In the order in which they began.
    rows: Vec<&'r Row<'a>>,
    told: &'r [Told],
    waiting: Vec<&'r Waiting<'a>>,
}

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    let Some(dump) = record.last_dump() else {
        sheet.judged(I4, &[], "no dump of the database");
        return;
    };
    if !record.stream.is_witnessed() {
        sheet.judged(I4, &[], "nobody witnessed the stream");
        return;
    }
    let (mut events, mut rows) = (0, 0);
    for (key, case) in cases(record, dump) {
        events += case.told.len() + case.waiting.len();
        rows += case.rows.len();
        Chain { record, dump, terms, key, case: &case, facts: facts(&case) }.check(sheet);
        invented(&case, dump.began.saturating_sub(micros(terms.clock_ms)), sheet);
        if record.is_quiet_at(dump.began) {
            for waiting in &case.waiting {
                sheet.find(I4, &[waiting.line], || "an event still waits, though all is quiet".into());
            }
        }
    }
    sheet.judged(I4, &[(events, "events"), (rows, "sessions")], "no session and no event of ours");
}

fn cases<'r, 'a>(record: &'r Record<'a>, dump: &'r Dump<'a>) -> BTreeMap<&'r Key, Case<'r, 'a>> {
    let mut cases: BTreeMap<&Key, Case<'_, '_>> = BTreeMap::new();
    for row in dump.rows() {
        cases.entry(row.key).or_default().rows.push(row);
    }
    for (key, told) in &record.stream.own {
        cases.entry(key).or_default().told = told;
    }
    for waiting in &dump.waiting {
        cases.entry(waiting.key).or_default().waiting.push(waiting);
    }
    for case in cases.values_mut() {
        case.rows.sort_by_key(|row| (row.started_at, row.ended_at.unwrap_or(i64::MAX), row.session_id));
    }
    cases
}

type Facts = HashMap<(Operation, i64), usize>;

/// What is published or still waits to be, and where that is said.
fn facts(case: &Case<'_, '_>) -> Facts {
    let published = case.told.iter().map(|it| ((it.operation, it.session_id), it.line));
    let waiting = case.waiting.iter().filter_map(|it| {
        let operation =
            [Operation::Entered, Operation::Left].into_iter().find(|op| op.as_str() == it.operation)?;
        Some(((operation, it.session_id), it.line))
    });
    published.chain(waiting).collect()
}

struct Chain<'c, 'r, 'a> {
    record: &'c Record<'a>,
    dump: &'c Dump<'a>,
    terms: &'c Terms,
    key: &'c Key,
    case: &'c Case<'r, 'a>,
    facts: Facts,
}

impl Chain<'_, '_, '_> {
    fn check(&self, sheet: &mut Sheet) {
        let rows = &self.case.rows;
        if let Some(first) = rows.first() {
            self.expect(Operation::Entered, first, sheet);
        }
        for pair in rows.windows(2) {
            self.seam(pair[0], pair[1], sheet);
        }
        match rows.last() {
            Some(last) if last.ended_at.is_some() => self.expect(Operation::Left, last, sheet),
            Some(last) => {
                if let Some(&line) = self.facts.get(&(Operation::Left, last.session_id)) {
                    sheet.find(I4, &[line, last.line], || {
                        format!("left({}) is told of a live session", last.session_id)
                    });
                }
            }
            None => {}
        }
    }

    /// Between two stays the agent either left and entered again, or was replaced and nobody was told.
    fn seam(&self, before: &Row<'_>, after: &Row<'_>, sheet: &mut Sheet) {
        let left = self.facts.get(&(Operation::Left, before.session_id));
        let entered = self.facts.get(&(Operation::Entered, after.session_id));
        let abuts = before.ended_at.is_some_and(|end| after.started_at <= end.saturating_add(1));
        match (left, entered) {
            (Some(&left), Some(&entered)) => {
                if abuts && self.was_replaced(before.session_id) {
                    sheet.find(I3, &[left, entered, before.line, after.line], || {
                        "a replace told the classroom of left and entered".into()
                    });
                }
            }
            (None, None) => {
                if !abuts && !self.may_be_unseen(after.started_at) {
                    sheet.find(I4, &[before.line, after.line], || {
                        format!(
                            "neither left({}) nor entered({}) was published, and the stays do not abut",
                            before.session_id, after.session_id
                        )
                    });
                }
            }
            (None, Some(_)) => self.expect(Operation::Left, before, sheet),
            (Some(_), None) => self.expect(Operation::Entered, after, sheet),
        }
    }

    fn expect(&self, operation: Operation, row: &Row<'_>, sheet: &mut Sheet) {
        let since = row.ended_at.filter(|_| operation == Operation::Left).unwrap_or(row.started_at);
        if !self.facts.contains_key(&(operation, row.session_id)) && !self.may_be_unseen(since) {
            sheet.find(I4, &[row.line], || {
                format!("{}({}) was never published", operation.as_str(), row.session_id)
            });
        }
    }

    /// What happened at this moment may have been published after the witnesses had looked, and before the dump.
    fn may_be_unseen(&self, since: i64) -> bool {
        let stream = &self.record.stream;
        let published_by = since.saturating_add(micros(self.terms.ghost_ms));
        stream.is_unwatched_at(self.dump.began) && stream.is_unwatched_at(published_by)
    }

    /// Whether the last socket of a session was told so.
    fn was_replaced(&self, session_id: i64) -> bool {
        let told = |line: &usize| {
            matches!(&self.record.history[*line].act,
                Act::Told { reason, .. } if reason == Reason::Replaced.row().name)
        };
        self.record.lives.get(self.key).is_some_and(|life| {
            let mut of = self.record.sockets_of(life).rev();
            let last = of.find(|it| it.entered.is_some_and(|entered| entered.session_id == session_id));
            last.is_some_and(|last| last.lines.iter().any(told))
        })
    }
}

/// What was published before the dump was taken is of sessions that are in it.
fn invented(case: &Case<'_, '_>, before: i64, sheet: &mut Sheet) {
    let ids: HashMap<i64, &&Row<'_>> = case.rows.iter().map(|row| (row.session_id, row)).collect();
    for it in case.told.iter().filter(|it| it.at < before && !ids.contains_key(&it.session_id)) {
        sheet.find(I4, &[it.line], || {
            format!("{}({}) is of no session of its key", it.operation.as_str(), it.session_id)
        });
    }
}
