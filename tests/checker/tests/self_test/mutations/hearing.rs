//! What a socket hears: lost, twice, out of order, invented, somebody else's.

use super::{Mutation, Spoiled};
use crate::{
    model::hears,
    view::{Event, Patch, Seen, View, heard},
};
use presence_api::{
    event::EventId,
    history::{Act, Entry},
};
use presence_checker::Invariant::{I6, I9};

pub(super) const ALL: &[Mutation] = &[
    Mutation { name: "drop an event", aims: &[I6], spoil: drop_one },
    Mutation { name: "silent gap", aims: &[I6], spoil: silent_gap },
    Mutation { name: "hear an event twice", aims: &[I6], spoil: twice },
    Mutation { name: "swap two events", aims: &[I6], spoil: swap },
    Mutation { name: "hear what nobody said", aims: &[I6], spoil: invented },
    Mutation { name: "hear it differently", aims: &[I6], spoil: different },
    Mutation { name: "hear what is for another", aims: &[I6], spoil: misaddressed },
    Mutation { name: "hear a foreign classroom", aims: &[I9], spoil: foreign },
    Mutation { name: "leak between classrooms", aims: &[I6, I9], spoil: leaked },
    Mutation { name: "an event missing in the stream", aims: &[I6], spoil: unpublished },
    Mutation { name: "reorder the stream", aims: &[I6], spoil: reordered },
    Mutation { name: "gap without a resync", aims: &[I6], spoil: unsaid_gap },
];

/// Each event that a socket heard: the socket, and where in its flow.
fn each<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'v Seen<'a>, usize)> {
    let of = |socket: &'v Seen<'a>| {
        let flow = socket.flow.iter().enumerate();
        flow.filter(|(_, it)| it.2).map(move |(index, _)| (socket, index))
    };
    view.sockets.iter().flat_map(of)
}

/// What lies between a part of a flow and the next one.
fn until(socket: &Seen<'_>, index: usize) -> u64 {
    socket.flow.get(index + 1).map_or(u64::MAX, |next| next.1 - 1)
}

fn drop_one(view: &View<'_>) -> Spoiled {
    let of = each(view).filter(|(socket, index)| socket.notices_before(index + 1));
    of.map(|(socket, index)| Patch::without(&[socket.flow[index].0])).collect()
}

fn silent_gap(view: &View<'_>) -> Spoiled {
    let of = each(view).filter(|(socket, index)| {
        socket.flow.get(index + 1).is_some_and(|next| next.2) && socket.notices_before(index + 2)
    });
    of.map(|(socket, index)| Patch::without(&[socket.flow[index].0, socket.flow[index + 1].0])).collect()
}

fn twice(view: &View<'_>) -> Spoiled {
    let line = |(socket, index): (&Seen<'_>, usize)| socket.flow[index].0;
    each(view).map(line).map(|line| view.with_after(line, view.entries[line].act.clone())).collect()
}

fn swap(view: &View<'_>) -> Spoiled {
    let of = each(view).filter(|(socket, index)| socket.flow.get(index + 1).is_some_and(|next| next.2));
    of.map(|(socket, index)| view.swapped(socket.flow[index].0, socket.flow[index + 1].0)).collect()
}

fn nothing() -> EventId {
    EventId { entity_type: "chat".into(), operation: "added".into(), sequence_id: 999_999 }
}

/// The model leaves positions free after each event.
fn invented(view: &View<'_>) -> Spoiled {
    let of = each(view).map(|(socket, index)| (socket, socket.flow[index]));
    of.map(|(socket, (line, seq, _))| view.with_after(line, heard(socket, seq + 1, &nothing()))).collect()
}

fn different(view: &View<'_>) -> Spoiled {
    let edit = |entry: &mut Entry| {
        if let Act::Heard { id, .. } = &mut entry.act {
            *id = nothing();
        }
    };
    each(view).map(|(socket, index)| view.edited(socket.flow[index].0, edit)).collect()
}

/// An event from between this one and the next, that this socket is not to hear.
fn between<'a>(view: &View<'a>, socket: &Seen<'_>, index: usize, own_room: bool) -> Option<Event<'a>> {
    let (after, up_to) = (socket.flow[index].1, until(socket, index));
    view.events.iter().copied().find(|it| {
        it.seq > after
            && it.seq <= up_to
            && (it.about.classroom_id == socket.key.classroom_id) == own_room
            && !hears(socket.key, it.about)
            && view.audible(socket, after, it.seq).is_empty()
    })
}

fn misaddressed(view: &View<'_>) -> Spoiled {
    let of =
        each(view).filter_map(|(socket, index)| Some((socket, index, between(view, socket, index, true)?)));
    of.map(|(socket, index, event)| view.with_after(socket.flow[index].0, heard(socket, event.seq, event.id)))
        .collect()
}

fn foreign(view: &View<'_>) -> Spoiled {
    let edit = |entry: &mut Entry| {
        if let Act::Heard { about, .. } = &mut entry.act {
            about.classroom_id = "room-9".into();
        }
    };
    each(view).map(|(socket, index)| view.edited(socket.flow[index].0, edit)).collect()
}

/// The client does not see that it is another classroom's; the stream knows. It takes the place of an own event.
fn leaked(view: &View<'_>) -> Spoiled {
    let of = each(view).filter(|(socket, index)| socket.notices_before(index + 1));
    let of = of.filter_map(|(socket, index)| Some((socket, index, between(view, socket, index, false)?)));
    of.map(|(socket, index, event)| {
        let act = heard(socket, event.seq, event.id);
        view.edited(socket.flow[index].0, |entry| entry.act = act)
    })
    .collect()
}

fn unpublished(view: &View<'_>) -> Spoiled {
    let heard: Vec<_> = each(view).map(|(socket, index)| socket.flow[index].1).collect();
    let of = view.events.iter().filter(|it| it.id.entity_type == "chat" && heard.contains(&it.seq));
    of.map(|it| Patch::without(&[it.line])).collect()
}

fn reordered(view: &View<'_>) -> Spoiled {
    let published = |seq: u64| {
        let chat = view.events.iter().find(|it| it.seq == seq && it.id.entity_type == "chat");
        chat.copied()
    };
    let of = each(view).filter_map(|(socket, index)| {
        let next = socket.flow.get(index + 1).filter(|next| next.2)?;
        Some((published(socket.flow[index].1)?, published(next.1)?))
    });
    of.map(|(a, b)| view.at_each_others(a, b)).collect()
}

fn unsaid_gap(view: &View<'_>) -> Spoiled {
    let mut spoiled = Vec::new();
    for socket in &view.sockets {
        for (index, &(line, seq, _)) in socket.flow.iter().enumerate().filter(|(_, it)| !it.2) {
            let missed = view.audible(socket, socket.position_before(index), seq);
            if !missed.is_empty() && socket.notices_before(index + 1) {
                spoiled.push(Patch::without(&[line]));
            }
        }
    }
    spoiled
}
