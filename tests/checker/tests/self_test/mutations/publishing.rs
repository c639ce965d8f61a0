//! What is published of presences: lost, twice, invented, out of order, late.

use super::{Mutation, Spoiled};
use crate::{
    model::SECOND,
    view::{Event, Patch, Row, View},
};
use presence_api::{
    event::{ENTITY, EventId, Operation},
    history::{About, Act, Entry, Key, Side},
};
use presence_checker::Invariant::{I1, I3, I4, I5};
use presence_core::ids::SessionId;

pub(super) const ALL: &[Mutation] = &[
    Mutation { name: "missing entered", aims: &[I4], spoil: |view| missing(view, "entered") },
    Mutation { name: "missing left", aims: &[I4], spoil: |view| missing(view, "left") },
    Mutation { name: "publish it twice", aims: &[I3], spoil: twice },
    Mutation { name: "left before entered", aims: &[I3], spoil: backwards },
    Mutation { name: "two events at one position", aims: &[I3], spoil: clash },
    Mutation { name: "invented left of the living", aims: &[I4], spoil: left_alive },
    Mutation { name: "invented entered of nobody", aims: &[I1, I4], spoil: entered_nobody },
    Mutation { name: "left of another session", aims: &[I1, I4], spoil: left_other },
    Mutation { name: "a replace that tells of both", aims: &[I3], spoil: |view| told(view, true, true) },
    Mutation {
        name: "a replace that tells of entered",
        aims: &[I3, I4],
        spoil: |view| told(view, false, true),
    },
    Mutation { name: "a replace that tells of left", aims: &[I4], spoil: |view| told(view, true, false) },
    Mutation { name: "an event that waits for ever", aims: &[I4], spoil: waiting },
    Mutation { name: "left long after", aims: &[I5], spoil: late },
    Mutation { name: "left while still there", aims: &[I5], spoil: early },
];

fn own<'v, 'a>(view: &'v View<'a>, operation: &'v str) -> impl Iterator<Item = Event<'a>> {
    let of = view.events.iter().filter(move |it| it.id.entity_type == ENTITY && it.id.operation == operation);
    of.copied()
}

fn key_of(event: &Event<'_>) -> Key {
    let agent_id = event.about.about.clone().expect("ours are about somebody");
    Key { agent_id, classroom_id: event.about.classroom_id.clone() }
}

fn about(key: &Key) -> About {
    let agent = Some(key.agent_id.clone());
    About { classroom_id: key.classroom_id.clone(), about: agent.clone(), receiver: None, sender: agent }
}

fn missing(view: &View<'_>, operation: &str) -> Spoiled {
    own(view, operation).map(|it| Patch::without(&[it.line])).collect()
}

fn twice(view: &View<'_>) -> Spoiled {
    let all = own(view, "entered").chain(own(view, "left"));
    all.map(|it| view.with_published(it.line, it.seq + 1, it.id.clone(), it.about.clone())).collect()
}

fn backwards(view: &View<'_>) -> Spoiled {
    let pair = |entered: Event<'_>| {
        let key = key_of(&entered);
        let left = own(view, "left").find(|it| it.seq > entered.seq && key_of(it) == key)?;
        Some(view.at_each_others(entered, left))
    };
    own(view, "entered").filter_map(pair).collect()
}

fn clash(view: &View<'_>) -> Spoiled {
    let other = EventId { entity_type: "chat".into(), operation: "added".into(), sequence_id: 777_777 };
    let all = own(view, "entered").chain(own(view, "left"));
    all.map(|it| view.with_published(it.line, it.seq, other.clone(), it.about.clone())).collect()
}

fn left_alive(view: &View<'_>) -> Spoiled {
    let live = view.rows.iter().filter(|row| row.ended_at.is_none());
    let id = |row: &Row<'_>| EventId::agent(Operation::Left, SessionId(row.id));
    live.map(|row| view.with_published(view.quiet - 1, view.top_seq() + 1, id(row), about(row.key))).collect()
}

fn entered_nobody(view: &View<'_>) -> Spoiled {
    let id = EventId::agent(Operation::Entered, SessionId(9_999_999));
    let rows = view.last_rows();
    rows.map(|row| view.with_published(view.quiet - 1, view.top_seq() + 1, id.clone(), about(row.key)))
        .collect()
}

fn left_other(view: &View<'_>) -> Spoiled {
    let edit = |entry: &mut Entry| {
        if let Act::Published { id, .. } = &mut entry.act {
            id.sequence_id += 500_000;
        }
    };
    own(view, "left").map(|it| view.edited(it.line, edit)).collect()
}

/// Replaces on another replica whose former socket was told so.
fn replaces<'a>(view: &View<'a>) -> impl Iterator<Item = (Row<'a>, Row<'a>, Event<'a>)> {
    let abut = |(before, after): &(Row<'_>, Row<'_>)| {
        before.ended_at == Some(after.started_at) && view.own(before.key, "left", before.id).is_none()
    };
    let was_told = |(before, _): &(Row<'_>, Row<'_>)| {
        let of = view.sockets_of(before.key).filter(|it| it.entered.is_some_and(|it| it.0 == before.id));
        of.last().is_some_and(|it| it.told.iter().any(|(_, reason)| *reason == "replaced"))
    };
    let with_entered = |(before, after): (Row<'a>, Row<'a>)| {
        let entered =
            own(view, "entered").filter(|it| key_of(it) == *before.key && it.id.sequence_id <= before.id);
        Some((before, after, entered.last()?))
    };
    view.pairs().filter(abut).filter(was_told).filter_map(with_entered).collect::<Vec<_>>().into_iter()
}

fn told(view: &View<'_>, left: bool, entered: bool) -> Spoiled {
    let spoil = |(before, after, first): (Row<'_>, Row<'_>, Event<'_>)| {
        let event = |operation, id, seq| {
            let id = EventId::agent(operation, SessionId(id));
            Act::Published { seq, id, about: about(before.key) }
        };
        let mut patch = Patch::default();
        if left {
            let act = event(Operation::Left, before.id, first.seq + 1);
            patch = patch.and_after(view, first.line, "witness", act);
        }
        if entered {
            let act = event(Operation::Entered, after.id, first.seq + 2);
            patch = patch.and_after(view, first.line, "witness", act);
        }
        patch
    };
    replaces(view).map(spoil).collect()
}

fn waiting(view: &View<'_>) -> Spoiled {
    let act = |row: &Row<'_>| Act::Waiting {
        session_id: row.id,
        operation: "entered".into(),
        key: row.key.clone(),
    };
    view.rows.iter().map(|row| view.with_row(act(row))).collect()
}

fn moved(view: &View<'_>, line: usize, at: i64) -> Patch {
    view.edited(line, |entry| (entry.began, entry.at) = (at, at))
}

/// The last departure of those who did not come back, told when nobody remembers them.
fn late(view: &View<'_>) -> Spoiled {
    let of = view.last_rows().filter(|row| view.undisturbed && row.ended_at.is_some());
    let spoil = |row: Row<'_>| {
        let (left, gone) = (view.own(row.key, "left", row.id)?, view.gone_at(row.key)?);
        Some(moved(view, left.line, gone + 27 * SECOND))
    };
    of.filter_map(spoil).collect()
}

/// Of an agent whose socket was open for long before it closed cleanly.
fn early(view: &View<'_>) -> Spoiled {
    let of = view.last_rows().filter(|row| view.undisturbed && row.ended_at.is_some());
    let spoil = |row: Row<'_>| {
        let left = view.own(row.key, "left", row.id)?;
        let last = view.sockets_of(row.key).last().filter(|it| it.entered.is_some() && it.told.is_empty())?;
        let closed = &view.entries[last.closed?];
        let clean = matches!(closed.act, Act::Closed { by: Side::Client, .. });
        let at = closed.at - 8 * SECOND;
        (clean && view.entries[last.connect].at + SECOND < at).then(|| moved(view, left.line, at))
    };
    of.filter_map(spoil).collect()
}
