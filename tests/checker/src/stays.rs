//! I7: the stays of one key do not overlap and are not empty; they cover what the agent saw, from the acknowledged
//! connect to the close, and do not go on without it.

use crate::{
    dumps::{Dump, Row},
    record::{Closed, Life, Record, Socket},
    terms::{Terms, micros},
    timeline::Timeline,
    verdict::{Invariant::I7, Sheet},
};
use presence_api::history::{Act, Key, Side};
use presence_core::close::Reason;
use std::collections::BTreeMap;

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    let Some(dump) = record.last_dump() else {
        sheet.judged(I7, &[], "no dump of the database");
        return;
    };
    let mut keys: BTreeMap<&Key, Vec<&Row<'_>>> = BTreeMap::new();
    dump.rows().for_each(|row| keys.entry(row.key).or_default().push(row));
    for rows in keys.values_mut() {
        rows.sort_by_key(|row| (row.started_at, row.ended_at.unwrap_or(i64::MAX), row.session_id));
        apart(rows, sheet);
    }
    let common = Life { sockets: Vec::new(), faults: record.common_faults() };
    let mut sockets = 0;
    for (key, life) in &record.lives {
        let rows = keys.get(key).map_or(&[][..], Vec::as_slice);
        let stays = Stays { record, dump, life, terms };
        sockets += stays.cover(rows, sheet);
        stays.attended(rows, sheet);
    }
    for (_, rows) in keys.iter().filter(|(key, _)| !record.lives.contains_key(*key)) {
        Stays { record, dump, life: &common, terms }.attended(rows, sheet);
    }
    let on = [(dump.rows().count(), "stays"), (sockets, "sockets")];
    sheet.judged(I7, &on, "no stay, and nobody entered");
}

fn apart(rows: &[&Row<'_>], sheet: &mut Sheet) {
    for row in rows {
        if row.ended_at.is_some_and(|ended_at| ended_at <= row.started_at) {
            sheet.find(I7, &[row.line], || format!("the stay of session {} is empty", row.session_id));
        }
    }
    for pair in rows.windows(2) {
        // A live row's beginning is put right when it ends: a microsecond that a former stay was made to last.
        let slack = i64::from(pair[1].ended_at.is_none());
        if pair[0].ended_at.unwrap_or(i64::MAX) > pair[1].started_at.saturating_add(slack) {
            sheet.find(I7, &[pair[0].line, pair[1].line], || {
                format!("the stays of sessions {} and {} overlap", pair[0].session_id, pair[1].session_id)
            });
        }
    }
}

struct Stays<'r, 'a> {
    record: &'r Record<'a>,
    dump: &'r Dump<'a>,
    life: &'r Life,
    terms: &'r Terms,
}

impl Stays<'_, '_> {
    /// Returns how many sockets there was something to cover of.
    fn cover(&self, rows: &[&Row<'_>], sheet: &mut Sheet) -> usize {
        let exact = micros(self.terms.clean_ms);
        let stay = |row: &&Row<'_>| {
            let until = row.ended_at.unwrap_or(i64::MAX);
            (row.started_at.saturating_sub(exact), until.saturating_add(exact))
        };
        // About a fault, stays end when somebody was last heard of, and begin again when it is over.
        let (unseen, settle) = (micros(self.terms.unseen_ms), micros(self.terms.settle_ms));
        let about_a_fault =
            |&(began, at): &(i64, i64)| (began.saturating_sub(unseen), at.saturating_add(settle));
        let disturbed: Vec<_> = self.life.faults.spans().iter().map(about_a_fault).collect();
        let excused = Timeline::new(disturbed.clone());
        let covered = Timeline::new(rows.iter().map(stay).chain(disturbed).collect());
        let mut sockets = 0;
        let replaced_at = self.first_claims();
        for socket in self.record.sockets_of(self.life).filter(|socket| socket.entered.is_some()) {
            let until = self.owed_until(socket, &replaced_at).min(self.dump.began);
            sockets += usize::from(until > socket.at && excused.hole(socket.at, until).is_some());
            if let Some(hole) = covered.hole(socket.at, until) {
                let end = socket.closed.map(|closed| closed.line);
                let rows = rows.iter().map(|row| row.line).take(4);
                let lines: Vec<_> = [socket.line].into_iter().chain(end).chain(rows).collect();
                sheet.find(I7, &lines, || {
                    format!(
                        "no stay covers an open socket from {hole}, {} µs in",
                        hole.saturating_sub(socket.at)
                    )
                });
            }
        }
        sockets
    }

    /// By the time they were answered: when the attempt was, and the earliest beginning of it and all later ones.
    fn first_claims(&self) -> Vec<(i64, i64)> {
        let mut claims: Vec<_> = self.record.sockets_of(self.life).map(|it| (it.at, it.began)).collect();
        for index in (1..claims.len()).rev() {
            claims[index - 1].1 = claims[index - 1].1.min(claims[index].1);
        }
        claims
    }

    /// Until when a stay must show that the socket's agent was there.
    fn owed_until(&self, socket: &Socket<'_>, claims: &[(i64, i64)]) -> i64 {
        let end = match socket.closed {
            None => i64::MAX,
            Some(closed) if is_clean(&closed) => closed.at,
            // Who reads slowly hears late, and of its end too.
            Some(Closed { code: Some(code), .. }) if code == Reason::SlowConsumer.row().code => socket.at,
            Some(_) => self.last_heard(socket).saturating_sub(micros(self.terms.unseen_ms)),
        };
        let replaced = self.was_told(socket, Reason::Replaced);
        if self.was_told(socket, Reason::SlowConsumer) {
            return socket.at;
        }
        // From then on the presence is the successor's.
        let successor = self.successor(socket);
        let claim = if replaced {
            let later = claims.partition_point(|&(at, _)| at <= socket.at);
            claims.get(later).map(|&(_, began)| began.max(socket.at))
        } else {
            None
        };
        [Some(end), successor, claim].into_iter().flatten().min().unwrap_or(end)
    }

    /// When the next one that began after this one was acknowledged.
    fn successor(&self, socket: &Socket<'_>) -> Option<i64> {
        let sockets = &self.life.sockets;
        let later = sockets.partition_point(|&index| self.record.sockets[index].at <= socket.at);
        let mut later = sockets[later..].iter().map(|&index| &self.record.sockets[index]);
        later.find(|it| it.entered.is_some() && it.began >= socket.at).map(|it| it.at)
    }

    fn last_heard(&self, socket: &Socket<'_>) -> i64 {
        let heard = socket.lines.iter().map(|&line| &self.record.history[line]);
        let heard = heard.filter(|entry| matches!(entry.act, Act::Heard { .. } | Act::Resync { .. }));
        heard.map(|entry| entry.at).fold(socket.at, i64::max)
    }

    fn was_told(&self, socket: &Socket<'_>, what: Reason) -> bool {
        let told = |entry: &presence_api::history::Entry| matches!(&entry.act, Act::Told { reason, .. } if reason == what.row().name);
        socket.lines.iter().any(|&line| told(&self.record.history[line]))
    }

    /// A stay bridges no longer an absence than a session may outlive its socket, and ends with its agent.
    fn attended(&self, rows: &[&Row<'_>], sheet: &mut Sheet) {
        let slack = micros(self.terms.clock_ms);
        let spans = |wait: &dyn Fn(&Socket<'_>) -> u64| {
            let span = |it: &Socket<'_>| {
                let until = self.life.faults.after(it.end(), micros(wait(it)).max(slack));
                (it.began.saturating_sub(slack), until)
            };
            Timeline::new(self.record.sockets_of(self.life).map(span).collect())
        };
        let held = spans(&|_| self.terms.ghost_ms);
        let there = spans(&|it| match it.closed {
            Some(closed) if is_clean(&closed) => self.terms.clean_ms,
            _ => self.terms.grace_ms,
        });
        for row in rows {
            let ended_at = row.ended_at.unwrap_or(self.dump.began);
            if held.hole(row.started_at, ended_at.max(row.started_at)).is_some() {
                sheet
                    .find(I7, &[row.line], || format!("session {} stays on where nobody is", row.session_id));
            } else if let Some(ended_at) = row.ended_at
                && there.hole(ended_at, ended_at).is_some()
            {
                sheet.find(I7, &[row.line], || {
                    format!("the stay of session {} ends long after its agent's", row.session_id)
                });
            }
        }
    }
}

fn is_clean(closed: &Closed) -> bool {
    let unheard = [Reason::PongTimedOut.row().code, Reason::SlowConsumer.row().code];
    match closed.by {
        Side::Client => true,
        Side::Server => closed.code.is_some_and(|code| !unheard.contains(&code)),
        Side::Broken => false,
    }
}
