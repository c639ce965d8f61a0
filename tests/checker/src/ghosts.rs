//! I5: no ghosts, and no phantoms. A row outlives its agent's last socket for a bounded time; an acknowledged open socket
//! has a row. Seen in every dump, and in between by the `left` events.

use crate::{
    dumps::{Dump, Row},
    record::{Life, Record, Socket},
    stream::Told,
    terms::{Terms, micros},
    verdict::{Invariant::I5, Sheet},
};
use presence_api::{
    event::Operation,
    history::{Act, Key},
};
use presence_core::close::Reason;
use std::collections::HashMap;

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    let (mut rows, mut open) = (0, 0);
    for dump in &record.dumps {
        rows += dump.live.len();
        let live: HashMap<&Key, &Row<'_>> = dump.live.iter().map(|row| (row.key, row)).collect();
        for row in &dump.live {
            haunted(record, dump, row, terms, sheet);
        }
        for (key, life) in &record.lives {
            open += unbacked(record, dump, (life, live.get(key).copied()), terms, sheet);
        }
    }
    let mut lefts = 0;
    for (key, told) in &record.stream.own {
        let Some(life) = record.lives.get(key) else { continue };
        let departures = Departures { record, life, told, ends: ends(record, life) };
        for it in told.iter().filter(|it| it.operation == Operation::Left) {
            lefts += 1;
            departures.judge(it, terms, sheet);
        }
    }
    let on = [(rows, "live rows"), (open, "open sockets"), (lefts, "departures")];
    let judged = if record.dumps.is_empty() { &[] } else { &on[..] };
    let dumped = [(record.dumps.len(), "dumps")];
    let judged = if judged.iter().any(|it| it.0 > 0) { judged } else { &dumped[..] };
    sheet.judged(I5, judged, "no dump of the database");
}

/// By the time that they began: the moment, and the latest end of all that began by then.
fn ends(record: &Record<'_>, life: &Life) -> Vec<(i64, i64, usize)> {
    let of = record.sockets_of(life);
    let mut ends: Vec<_> = of.map(|socket| (socket.began, socket.end(), socket.line)).collect();
    ends.sort_unstable();
    for index in 1..ends.len() {
        if ends[index].1 < ends[index - 1].1 {
            (ends[index].1, ends[index].2) = (ends[index - 1].1, ends[index - 1].2);
        }
    }
    ends
}

fn haunted(record: &Record<'_>, dump: &Dump<'_>, row: &Row<'_>, terms: &Terms, sheet: &mut Sheet) {
    let Some(life) = record.lives.get(row.key) else {
        sheet.find(I5, &[row.line], || format!("session {} is of nobody who ever connected", row.session_id));
        return;
    };
    let last = record.sockets_of(life).max_by_key(|socket| socket.end());
    let Some(last) = last.filter(|socket| socket.end() < dump.began) else { return };
    if dump.began > life.faults.after(last.end(), micros(terms.ghost_ms)) {
        let end = last.closed.map_or(last.line, |closed| closed.line);
        sheet.find(I5, &[row.line, end], || format!("session {} is a ghost", row.session_id));
    }
}

/// Returns how many open sockets there were.
fn unbacked(
    record: &Record<'_>,
    dump: &Dump<'_>,
    (life, row): (&Life, Option<&Row<'_>>),
    terms: &Terms,
    sheet: &mut Sheet,
) -> usize {
    let mut open = 0;
    for socket in record.sockets_of(life).filter(|it| it.is_open_at(dump.began) && it.is_open_at(dump.at)) {
        open += 1;
        let due = life.faults.after(socket.at, micros(terms.unbacked_ms)) < dump.began;
        let due = due || record.is_quiet_at(dump.began);
        if row.is_none()
            && due
            && !is_dismissed(record, socket, dump.at)
            && !has_successor(record, life, socket)
        {
            let dumped = dump.closed.map(|it| it.0);
            let lines: Vec<_> = [Some(socket.line), dumped].into_iter().flatten().collect();
            sheet.find(I5, &lines, || "an open socket has no row".into());
        }
    }
    open
}

/// It was told its end; that it still stands open is a matter of moments.
fn is_dismissed(record: &Record<'_>, socket: &Socket<'_>, by: i64) -> bool {
    socket.lines.iter().map(|&line| &record.history[line]).any(|entry| {
        let ends = matches!(&entry.act, Act::Told { reason, .. } if reason != Reason::Terminated.row().name);
        ends && entry.at <= by
    })
}

/// The row belongs to a later socket, and went with it.
fn has_successor(record: &Record<'_>, life: &Life, socket: &Socket<'_>) -> bool {
    record.sockets_of(life).any(|it| it.entered.is_some() && it.began >= socket.at && it.line != socket.line)
}

/// The `left` events of one key against its sockets.
struct Departures<'r, 'a> {
    record: &'r Record<'a>,
    life: &'r Life,
    told: &'r [Told],
    ends: Vec<(i64, i64, usize)>,
}

impl Departures<'_, '_> {
    fn judge(&self, left: &Told, terms: &Terms, sheet: &mut Sheet) {
        let slack = micros(terms.clock_ms);
        let moment = left.at.saturating_sub(slack);
        let begun = self.ends.partition_point(|&(began, ..)| began <= left.at);
        let Some(&(_, end, line)) = begun.checked_sub(1).and_then(|last| self.ends.get(last)) else {
            return;
        };
        if end < moment {
            if moment > self.life.faults.after(end, micros(terms.ghost_ms)) {
                sheet.find(I5, &[line, left.line], || {
                    format!("left({}) came long after its agent had gone", left.session_id)
                });
            }
            return;
        }
        let until = self.life.faults.after(left.at, micros(terms.unbacked_ms));
        let back = |it: &&Told| it.operation == Operation::Entered && it.seq > left.seq && it.at <= until;
        if self.told.iter().any(|it| back(&it)) {
            return;
        }
        let mut open =
            self.record.sockets_of(self.life).filter(|it| it.is_open_at(moment) && it.is_open_at(until));
        if let Some(phantom) = open
            .find(|it| !is_dismissed(self.record, it, until) && !has_successor(self.record, self.life, it))
        {
            // Where the history ends before that, nobody knows.
            if self.seen_until() >= until {
                sheet.find(I5, &[phantom.line, left.line], || {
                    format!("left({}) was told, and its socket stayed open", left.session_id)
                });
            }
        }
    }

    fn seen_until(&self) -> i64 {
        self.record.quiet.map_or(i64::MIN, |quiet| quiet.began)
    }
}
