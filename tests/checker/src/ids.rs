//! I1: every session id that anybody was told of is live or ended, ended once, and never back.

use crate::{
    dumps::{Dump, Row},
    record::Record,
    terms::{Terms, micros},
    verdict::{Invariant::I1, Sheet},
};
use presence_api::history::Key;
use std::collections::HashMap;

pub(crate) fn check(record: &Record<'_>, terms: &Terms, sheet: &mut Sheet) {
    let mut told = 0;
    let mut earlier: Option<HashMap<i64, &Row<'_>>> = None;
    for dump in &record.dumps {
        complete(dump, sheet);
        let rows = unique(dump, sheet);
        if let Some(earlier) = &earlier {
            never_back(earlier, &rows, dump, sheet);
        }
        told = known(record, terms, (dump, &rows), sheet);
        earlier = Some(rows);
    }
    let rows = record.last_dump().map_or(0, |dump| dump.rows().count());
    sheet.judged(I1, &[(told, "ids told"), (rows, "rows")], "no dump of the database");
}

/// A dump that lost lines would make a liar of everybody.
fn complete(dump: &Dump<'_>, sheet: &mut Sheet) {
    if let Some((line, said)) = dump.closed
        && said != dump.counts()
    {
        let found = dump.counts();
        sheet.find(I1, &[line], || {
            format!("a dump of {said:?} rows (live, ended, waiting) has lines of {found:?}")
        });
    }
}

fn unique<'r, 'a>(dump: &'r Dump<'a>, sheet: &mut Sheet) -> HashMap<i64, &'r Row<'a>> {
    let mut rows: HashMap<i64, &Row<'_>> = HashMap::new();
    for row in dump.rows() {
        if let Some(other) = rows.insert(row.session_id, row) {
            let how = match (other.ended_at, row.ended_at) {
                (Some(_), Some(_)) => "ended twice",
                (None, None) => "is live twice",
                _ => "is live and ended",
            };
            sheet.find(I1, &[other.line, row.line], || format!("session {} {how}", row.session_id));
        }
    }
    rows
}

/// From one dump to the next, a session may end, and nothing else.
fn never_back(
    earlier: &HashMap<i64, &Row<'_>>,
    rows: &HashMap<i64, &Row<'_>>,
    dump: &Dump<'_>,
    sheet: &mut Sheet,
) {
    for (id, was) in earlier {
        let Some(is) = rows.get(id) else {
            let lines: Vec<_> = [Some(was.line), dump.closed.map(|it| it.0)].into_iter().flatten().collect();
            sheet.find(I1, &lines, || format!("session {id} is gone from the database"));
            continue;
        };
        if was.ended_at.is_some() && (was.ended_at, was.started_at) != (is.ended_at, is.started_at) {
            sheet
                .find(I1, &[was.line, is.line], || format!("session {id} had ended, and changed after that"));
        }
    }
}

/// Who was told of an id before the dump must find it there. Returns how many were.
fn known(
    record: &Record<'_>,
    terms: &Terms,
    (dump, rows): (&Dump<'_>, &HashMap<i64, &Row<'_>>),
    sheet: &mut Sheet,
) -> usize {
    let mut told = 0;
    let mut look = |id: i64, key: &Key, line: usize, sheet: &mut Sheet| {
        told += 1;
        match rows.get(&id) {
            None => {
                sheet.find(I1, &[line], || format!("session {id} was told, and is neither live nor ended"));
            }
            Some(row) if row.key != key => {
                sheet.find(I1, &[line, row.line], || format!("session {id} is somebody else's"));
            }
            Some(_) => {}
        }
    };
    let slack = micros(terms.clock_ms);
    for socket in record.sockets.iter().filter(|socket| socket.at <= dump.began) {
        let Some(entered) = socket.entered else { continue };
        look(entered.session_id, socket.key, socket.line, sheet);
        let ended = rows.get(&entered.session_id).and_then(|row| Some((row.line, row.ended_at?)));
        if let Some((line, ended_at)) = ended
            && ended_at < socket.began.saturating_sub(slack)
        {
            sheet.find(I1, &[socket.line, line], || {
                format!("session {} was given to a connect after it had ended", entered.session_id)
            });
        }
    }
    for (key, events) in &record.stream.own {
        for it in events.iter().filter(|it| it.at < dump.began.saturating_sub(slack)) {
            look(it.session_id, key, it.line, sheet);
        }
    }
    for waiting in &dump.waiting {
        look(waiting.session_id, waiting.key, waiting.line, sheet);
    }
    told
}
