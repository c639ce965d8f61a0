//! I2: the owner register. One live row per key; of two sockets of one key, one goes on hearing; ids and generations
//! never go back. Overlap is legal for a bounded time: make before break.

use crate::{
    dumps::{Dump, Row},
    record::{Life, Record, Socket},
    terms::{Terms, micros},
    verdict::{Invariant::I2, Sheet},
};
use presence_api::history::{Act, Key};
use presence_core::close::Reason;
use std::collections::HashMap;

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    for dump in &record.dumps {
        one_row_each(dump, sheet);
    }
    let mut generations: HashMap<&Key, &Row<'_>> = HashMap::new();
    for row in record.dumps.iter().flat_map(|dump| &dump.live) {
        if let Some(before) = generations.insert(row.key, row)
            && (before.session_id, before.generation) > (row.session_id, row.generation)
        {
            sheet.find(I2, &[before.line, row.line], || "a session or its generation went back".into());
        }
    }
    let mut sockets = 0;
    for life in record.lives.values() {
        let entered: Vec<_> = record.sockets_of(life).filter(|socket| socket.entered.is_some()).collect();
        sockets += entered.len();
        ids_grow(&entered, sheet);
        let reigns: Vec<_> = entered.iter().map(|socket| Reign::of(record, socket)).collect();
        superseded(&reigns, life, terms, sheet);
        at_once(&reigns, life, terms, sheet);
    }
    rows_follow_ids(record, sheet);
    let rows = record.last_dump().map_or(0, |dump| dump.live.len());
    let on = [(sockets, "sockets"), (record.lives.len(), "keys"), (rows, "live rows")];
    sheet.judged(I2, &on, "nobody entered, and no row is live");
}

fn one_row_each(dump: &Dump<'_>, sheet: &mut Sheet) {
    let mut live: HashMap<&Key, &Row<'_>> = HashMap::new();
    for row in &dump.live {
        if let Some(other) = live.insert(row.key, row) {
            sheet.find(I2, &[other.line, row.line], || {
                format!("{} is live twice in {}", row.key.agent_id, row.key.classroom_id)
            });
        }
    }
}

/// A connect that began after another was acknowledged gets the same id or a later one. `entered` is by `at`.
fn ids_grow(entered: &[&Socket<'_>], sheet: &mut Sheet) {
    let id = |socket: &Socket<'_>| socket.entered.map_or(i64::MIN, |it| it.session_id);
    let mut by_began = entered.to_vec();
    by_began.sort_by_key(|socket| socket.began);
    let mut acknowledged = entered.iter().peekable();
    let mut highest: Option<&Socket<'_>> = None;
    for socket in by_began {
        while let Some(earlier) = acknowledged.next_if(|it| it.at < socket.began) {
            if highest.is_none_or(|it| id(it) < id(earlier)) {
                highest = Some(earlier);
            }
        }
        if let Some(highest) = highest.filter(|it| id(it) > id(socket)) {
            sheet.find(I2, &[highest.line, socket.line], || {
                format!("after session {} came session {}", id(highest), id(socket))
            });
        }
    }
}

/// The live row of a key is its latest session, and later stays have later ids.
fn rows_follow_ids(record: &Record<'_>, sheet: &mut Sheet) {
    let Some(dump) = record.last_dump() else { return };
    let mut latest: HashMap<&Key, (i64, usize)> = HashMap::new();
    let mut ended: Vec<_> = dump.ended.iter().collect();
    ended.sort_by_key(|row| (row.started_at, row.ended_at, row.session_id));
    for row in ended {
        let before = latest.insert(row.key, (row.session_id, row.line));
        if let Some((id, line)) = before.filter(|&(id, _)| id > row.session_id) {
            sheet.find(I2, &[line, row.line], || format!("session {} follows {id}", row.session_id));
        }
    }
    for socket in record.sockets.iter().filter(|socket| socket.at <= dump.began) {
        let Some(entered) = socket.entered else { continue };
        let known = latest.entry(socket.key).or_insert((entered.session_id, socket.line));
        *known = (*known).max((entered.session_id, socket.line));
    }
    for row in &dump.live {
        if let Some(&(id, line)) = latest.get(row.key).filter(|&&(id, _)| id > row.session_id) {
            sheet.find(I2, &[line, row.line], || {
                format!("session {} is live, and {id} came after it", row.session_id)
            });
        }
    }
}

/// A socket, and until when there is evidence that it heard its classroom.
struct Reign<'r> {
    socket: &'r Socket<'r>,
    last: i64,
    evidence: usize,
    /// It was told to go elsewhere, and may deliver while it drains.
    drains: bool,
}

impl<'r> Reign<'r> {
    fn of(record: &Record<'_>, socket: &'r Socket<'r>) -> Self {
        let mut reign = Self { socket, last: socket.at, evidence: socket.line, drains: false };
        let mut over = false;
        for &line in &socket.lines {
            let entry = &record.history[line];
            match &entry.act {
                Act::Told { reason, .. } if reason == Reason::Terminated.row().name => reign.drains = true,
                Act::Told { .. } => over = true,
                _ => (reign.last, reign.evidence) = (reign.last.max(entry.at), line),
            }
        }
        // Still open in the end, and told nothing: it would hear the next event.
        if let Some(quiet) = record.quiet.filter(|quiet| !over && socket.is_open_at(quiet.began)) {
            (reign.last, reign.evidence) = (reign.last.max(quiet.began), quiet.line);
        }
        reign
    }

    fn wait(&self, terms: &Terms) -> i64 {
        micros(if self.drains { terms.overlap_ms.max(terms.settle_ms) } else { terms.settle_ms })
    }
}

/// After a later connect was acknowledged, the older socket soon hears nothing more.
fn superseded(reigns: &[Reign<'_>], life: &Life, terms: &Terms, sheet: &mut Sheet) {
    let mut by_began: Vec<_> = reigns.iter().map(|reign| reign.socket).collect();
    by_began.sort_by_key(|socket| socket.began);
    // Of all that began at this one or later, the first to be acknowledged.
    let mut first = by_began.clone();
    for index in (1..first.len()).rev() {
        if first[index].at < first[index - 1].at {
            first[index - 1] = first[index];
        }
    }
    for reign in reigns {
        let later = by_began.partition_point(|socket| socket.began <= reign.socket.at);
        let Some(successor) = first.get(later) else { continue };
        if reign.last > life.faults.after(successor.at, reign.wait(terms)) {
            sheet.find(I2, &[reign.socket.line, successor.line, reign.evidence], || {
                "a socket goes on after a later one of its key was acknowledged".into()
            });
        }
    }
}

/// Of connects that raced, nobody can tell which is the later one; but not both may go on.
fn at_once(reigns: &[Reign<'_>], life: &Life, terms: &Terms, sheet: &mut Sheet) {
    let settle = micros(terms.settle_ms);
    let mut spans: Vec<_> = reigns
        .iter()
        .map(|reign| {
            let drain = reign.wait(terms).saturating_sub(settle);
            (life.faults.after(reign.socket.at, settle), reign.last.saturating_sub(drain), reign)
        })
        .filter(|(from, to, _)| from < to)
        .collect();
    spans.sort_by_key(|&(from, ..)| from);
    let mut longest: Option<(i64, &Reign<'_>)> = None;
    for (from, to, reign) in spans {
        if let Some((_, other)) = longest.filter(|&(until, _)| until > from) {
            let lines = [other.socket.line, reign.socket.line, other.evidence, reign.evidence];
            sheet.find(I2, &lines, || "two sockets of one key go on hearing".into());
        }
        if longest.is_none_or(|(until, _)| until < to) {
            longest = Some((to, reign));
        }
    }
}
