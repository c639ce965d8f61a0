//! What the database holds: rows lost, doubled, of nobody, that never end, that do not cover what was.

use super::{Mutation, Spoiled};
use crate::{
    model::SECOND,
    view::{Patch, Row, View},
};
use presence_api::history::{Act, Entry, Key, Outcome, Side};
use presence_checker::Invariant::{I1, I2, I4, I5, I7};

pub(super) const ALL: &[Mutation] = &[
    Mutation { name: "lose a stay", aims: &[I1], spoil: lost },
    Mutation { name: "lose a line of the dump", aims: &[I1], spoil: lost_line },
    Mutation { name: "end twice", aims: &[I1], spoil: ended_twice },
    Mutation { name: "live and ended", aims: &[I1], spoil: live_and_ended },
    Mutation { name: "a stay that changed after its end", aims: &[I1], spoil: changed },
    Mutation { name: "a row that became another's", aims: &[I1], spoil: other_key },
    Mutation { name: "an ended id given out again", aims: &[I1], spoil: reused },
    Mutation { name: "somebody else's id", aims: &[I1], spoil: foreign_id },
    Mutation { name: "an id that goes back", aims: &[I2], spoil: id_back },
    Mutation { name: "stays in the wrong order of ids", aims: &[I2], spoil: ids_swapped },
    Mutation { name: "an old session that lives", aims: &[I2], spoil: old_lives },
    Mutation { name: "a generation that goes back", aims: &[I2], spoil: generation_back },
    Mutation { name: "two live rows", aims: &[I2], spoil: two_rows },
    Mutation { name: "a row never released", aims: &[I5], spoil: ghost },
    Mutation { name: "an open socket without a row", aims: &[I1, I5], spoil: phantom },
    Mutation { name: "a row of nobody", aims: &[I4, I5], spoil: nobody },
    Mutation { name: "overlapping stays", aims: &[I7], spoil: overlap },
    Mutation { name: "an empty stay", aims: &[I7], spoil: empty },
    Mutation { name: "attendance cut short", aims: &[I7], spoil: cut_short },
    Mutation { name: "attendance that begins late", aims: &[I7], spoil: begins_late },
    Mutation { name: "attendance that goes on", aims: &[I7], spoil: goes_on },
];

fn ended<'a>(view: &View<'a>) -> impl Iterator<Item = (Row<'a>, i64)> {
    view.rows.iter().filter_map(|row| Some((*row, row.ended_at?)))
}

fn live<'a>(view: &View<'a>) -> impl Iterator<Item = Row<'a>> {
    view.rows.iter().filter(|row| row.ended_at.is_none()).copied()
}

fn was_told(view: &View<'_>, row: &Row<'_>) -> bool {
    let published = ["entered", "left"].iter().any(|it| view.own(row.key, it, row.id).is_some());
    published || view.sockets_of(row.key).any(|it| it.entered.is_some_and(|it| it.0 == row.id))
}

fn lost(view: &View<'_>) -> Spoiled {
    let of = ended(view).filter(|(row, _)| was_told(view, row));
    of.map(|(row, _)| Patch::without(&[row.line]).recounted()).collect()
}

fn lost_line(view: &View<'_>) -> Spoiled {
    view.rows.iter().map(|row| Patch::without(&[row.line])).collect()
}

fn ended_twice(view: &View<'_>) -> Spoiled {
    ended(view).map(|(row, _)| view.with_row(view.entries[row.line].act.clone())).collect()
}

fn live_and_ended(view: &View<'_>) -> Spoiled {
    let act = |row: Row<'_>| Act::Ended {
        session_id: row.id,
        key: row.key.clone(),
        started_at: row.started_at,
        ended_at: row.started_at + SECOND,
    };
    live(view).map(|row| view.with_row(act(row))).collect()
}

/// In a dump before the last one, another end.
fn changed(view: &View<'_>) -> Spoiled {
    let earlier = (0..view.quiet).filter(|&line| matches!(view.entries[line].act, Act::Ended { .. }));
    let edit = |entry: &mut Entry| {
        if let Act::Ended { ended_at, .. } = &mut entry.act {
            *ended_at += SECOND;
        }
    };
    earlier.map(|line| view.edited(line, edit)).collect()
}

fn other_key(view: &View<'_>) -> Spoiled {
    let edit = |entry: &mut Entry| {
        if let Act::Live { key, .. } | Act::Ended { key, .. } = &mut entry.act {
            key.agent_id = "web.z.example".into();
        }
    };
    let of = view.rows.iter().filter(|row| was_told(view, row));
    of.map(|row| view.edited(row.line, edit)).collect()
}

fn entering_as(view: &View<'_>, connect: usize, id: i64) -> Patch {
    view.edited(connect, |entry| {
        if let Act::Connect { outcome: Outcome::Entered { session_id, .. }, .. } = &mut entry.act {
            *session_id = id;
        }
    })
}

fn reused(view: &View<'_>) -> Spoiled {
    let of = view.sockets.iter().filter(|it| it.entered.is_some()).filter_map(|socket| {
        let began = view.entries[socket.connect].began;
        let old =
            ended(view).find(|(row, ended_at)| row.key == socket.key && *ended_at < began - 2 * SECOND)?;
        Some(entering_as(view, socket.connect, old.0.id))
    });
    of.collect()
}

fn foreign_id(view: &View<'_>) -> Spoiled {
    let of = view.sockets.iter().filter(|it| it.entered.is_some()).filter_map(|socket| {
        let other = view.rows.iter().find(|row| row.key != socket.key)?;
        Some(entering_as(view, socket.connect, other.id))
    });
    of.collect()
}

/// Of a connect that began when another had been acknowledged.
fn id_back(view: &View<'_>) -> Spoiled {
    let of = view.sockets.iter().filter(|socket| {
        let began = view.entries[socket.connect].began;
        let mut of = view.sockets_of(socket.key).filter(|it| it.entered.is_some());
        socket.entered.is_some() && of.any(|it| view.entries[it.connect].at < began)
    });
    of.map(|socket| entering_as(view, socket.connect, 1)).collect()
}

fn ids_swapped(view: &View<'_>) -> Spoiled {
    let of = view.pairs().filter(|(_, after)| after.ended_at.is_some());
    let as_id = |id: i64| {
        move |entry: &mut Entry| {
            if let Act::Ended { session_id, .. } = &mut entry.act {
                *session_id = id;
            }
        }
    };
    of.map(|(before, after)| {
        view.edited(before.line, as_id(after.id)).and_edited(view, after.line, as_id(before.id))
    })
    .collect()
}

fn old_lives(view: &View<'_>) -> Spoiled {
    let edit = |entry: &mut Entry| {
        if let Act::Live { session_id, .. } = &mut entry.act {
            *session_id = 2;
        }
    };
    live(view).map(|row| view.edited(row.line, edit)).collect()
}

fn generation_back(view: &View<'_>) -> Spoiled {
    let earlier = |row: &Row<'_>| {
        view.entries[..view.quiet].iter().rev().find_map(|entry| match &entry.act {
            Act::Live { session_id, generation, .. } if *session_id == row.id => Some(*generation),
            _ => None,
        })
    };
    let of = live(view).filter_map(|row| Some((row, earlier(&row)?)));
    of.map(|(row, was)| {
        view.edited(row.line, |entry| {
            if let Act::Live { generation, .. } = &mut entry.act {
                *generation = was - 1;
            }
        })
    })
    .collect()
}

fn two_rows(view: &View<'_>) -> Spoiled {
    let twin = |row: Row<'_>| {
        let mut act = view.entries[row.line].act.clone();
        if let Act::Live { session_id, .. } = &mut act {
            *session_id = 8_888_888;
        }
        view.with_row(act)
    };
    live(view).map(twin).collect()
}

/// The last stay of somebody who is gone for long goes on instead, and nobody was told of its end.
fn ghost(view: &View<'_>) -> Spoiled {
    let spoil = |row: Row<'_>| {
        row.ended_at?;
        let until = view.gone_at(row.key).filter(|_| view.undisturbed)?;
        let left = view.own(row.key, "left", row.id)?;
        let patch = view.edited(row.line, |entry| {
            let (key, replica) = (row.key.clone(), "replica-0".to_owned());
            let (session_id, started_at) = (row.id, row.started_at);
            entry.act = Act::Live { session_id, key, generation: 1, replica, started_at };
        });
        let long_ago = until + 26 * SECOND < view.entries[row.line].began;
        long_ago.then(|| patch.and_without([left.line]).recounted())
    };
    view.last_rows().filter_map(spoil).collect()
}

fn phantom(view: &View<'_>) -> Spoiled {
    let of = live(view).filter(|row| view.gone_at(row.key).is_none());
    of.map(|row| Patch::without(&[row.line]).recounted()).collect()
}

fn nobody(view: &View<'_>) -> Spoiled {
    let stranger = |n: usize| {
        let key = Key { agent_id: format!("web.nobody{n}.example"), classroom_id: "room-0".into() };
        let (replica, started_at) = ("replica-0".to_owned(), view.entries[0].at);
        view.with_row(Act::Live { session_id: 5_000_000, key, generation: 1, replica, started_at })
    };
    (0..3).map(stranger).collect()
}

fn with_times(view: &View<'_>, row: &Row<'_>, started: i64, ended: i64) -> Patch {
    view.edited(row.line, |entry| match &mut entry.act {
        Act::Ended { started_at, ended_at, .. } => (*started_at, *ended_at) = (started, ended),
        Act::Live { started_at, .. } => *started_at = started,
        _ => {}
    })
}

fn overlap(view: &View<'_>) -> Spoiled {
    let spoil = |(before, after): (Row<'_>, Row<'_>)| {
        with_times(view, &before, before.started_at, after.started_at + SECOND)
    };
    // One that it would swallow whole comes before it in the order of stays, and overlaps all the same.
    view.pairs().map(spoil).collect()
}

fn empty(view: &View<'_>) -> Spoiled {
    ended(view).map(|(row, _)| with_times(view, &row, row.started_at, row.started_at)).collect()
}

/// Sockets of a key that its agent closed cleanly, with when they were open.
fn clean_spans(view: &View<'_>, key: &Key) -> Vec<(i64, i64)> {
    let span = |connect: usize, closed: usize| (view.entries[connect].at, view.entries[closed].at);
    let of = view.sockets_of(key).filter(|it| it.entered.is_some()).filter_map(|it| {
        let clean = matches!(view.entries[it.closed?].act, Act::Closed { by: Side::Client, .. });
        clean.then(|| span(it.connect, it.closed.expect("it is closed")))
    });
    of.collect()
}

fn cut_short(view: &View<'_>) -> Spoiled {
    let of = ended(view).filter(|(row, ended_at)| {
        let mut spans = clean_spans(view, row.key).into_iter();
        view.undisturbed
            && spans.any(|(from, to)| {
                from < ended_at - 5 * SECOND && (ended_at - SECOND / 2..=*ended_at).contains(&to)
            })
    });
    let spoil = |(row, ended_at): (Row<'_>, i64)| {
        let until = (ended_at - 4 * SECOND).max(row.started_at + 1);
        with_times(view, &row, row.started_at, until)
    };
    of.map(spoil).collect()
}

/// The socket that began the presence was there for longer than the stay's beginning is put off, as long as nobody
/// else's stay comes before.
fn begins_late(view: &View<'_>) -> Spoiled {
    let of = view.rows.iter().filter(|row| {
        let mut spans = clean_spans(view, row.key).into_iter();
        let late = row.started_at + 4 * SECOND;
        view.undisturbed
            && row.ended_at.is_none_or(|ended_at| ended_at > late + SECOND)
            && spans.any(|(from, to)| (row.started_at..row.started_at + SECOND).contains(&from) && to > late)
            && view.pairs().all(|(before, after)| {
                after.id != row.id || before.ended_at < Some(row.started_at - 2 * SECOND)
            })
    });
    of.map(|row| with_times(view, row, row.started_at + 4 * SECOND, row.ended_at.unwrap_or_default()))
        .collect()
}

fn goes_on(view: &View<'_>) -> Spoiled {
    let of = view.last_rows().filter(|_| view.undisturbed);
    let of = of.filter_map(|row| Some((row, row.ended_at?.max(view.gone_at(row.key)?))));
    of.map(|(row, gone)| with_times(view, &row, row.started_at, gone + 8 * SECOND)).collect()
}
