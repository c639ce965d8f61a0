//! Two owners of one key: a socket that is not told, or that goes on hearing long after its successor came.

use super::{Mutation, Spoiled};
use crate::{
    model::SECOND,
    view::{Event, Patch, Seen, View, heard},
};
use presence_api::history::{Act, Side};
use presence_checker::Invariant::{self, I2};

pub(super) const ALL: &[Mutation] = &[
    Mutation { name: "two open owners", aims: &[I2], spoil: never_told },
    Mutation { name: "two open owners that raced", aims: &[I2], spoil: raced },
    Mutation { name: "an owner that goes on", aims: &[I2], spoil: |view| goes_on(view, "replaced") },
    Mutation { name: "a drained owner that goes on", aims: &[I2], spoil: |view| goes_on(view, "terminated") },
    Mutation { name: "an owner that hears after it was told", aims: AFTER, spoil: after_told },
];

const AFTER: &[Invariant] = &[Invariant::I6];

/// Sockets that were told so, with their successor: the first to begin after they were acknowledged.
fn succeeded<'v, 'a>(
    view: &'v View<'a>,
    reason: &'v str,
) -> impl Iterator<Item = (&'v Seen<'a>, &'v Seen<'a>)> {
    let told = view.sockets.iter().filter(move |it| it.told.iter().any(|told| told.1 == reason));
    told.filter_map(|socket| {
        let at = view.entries[socket.connect].at;
        let later = |it: &&Seen<'_>| it.entered.is_some() && view.entries[it.connect].began > at;
        Some((socket, view.sockets_of(socket.key).find(later)?))
    })
}

/// What ends this socket.
fn ends(socket: &Seen<'_>) -> Vec<usize> {
    let told = socket.told.iter().filter(|told| told.1 != "terminated").map(|told| told.0);
    told.chain(socket.closed).collect()
}

fn never_told(view: &View<'_>) -> Spoiled {
    let of = succeeded(view, "replaced").filter(|_| view.undisturbed);
    of.map(|(socket, _)| Patch::without(&ends(socket))).collect()
}

/// Both connects were under way together, so neither is the later one; both stay.
fn raced(view: &View<'_>) -> Spoiled {
    let of =
        succeeded(view, "replaced").filter(|(_, successor)| view.undisturbed && successor.closed.is_none());
    of.map(|(socket, successor)| {
        let began = view.entries[socket.connect].began;
        view.edited(successor.connect, |entry| entry.began = began).and_without(ends(socket))
    })
    .collect()
}

/// It hears everything that its successor hears, in order and for long, and then closes.
fn goes_on(view: &View<'_>, reason: &str) -> Spoiled {
    let of = succeeded(view, reason).filter(|_| view.undisturbed).filter_map(|(socket, successor)| {
        let position = socket.position_before(socket.flow.len());
        let later = view.audible(socket, position, u64::MAX);
        let since = view.entries[successor.connect].at;
        let in_vain = later.last().is_none_or(|last| view.entries[last.line].at < since + 16 * SECOND);
        (!in_vain).then(|| hearing_on(view, socket, &later))
    });
    of.collect()
}

fn hearing_on(view: &View<'_>, socket: &Seen<'_>, later: &[Event<'_>]) -> Patch {
    let mut patch = Patch::without(&ends(socket));
    for event in later {
        patch = patch.and_after(view, event.line, socket.actor, heard(socket, event.seq, event.id));
    }
    let closed = Act::Closed { socket: socket.number, by: Side::Client, code: Some(1000) };
    patch.and_after(view, view.quiet - 1, socket.actor, closed)
}

fn after_told(view: &View<'_>) -> Spoiled {
    let of = succeeded(view, "replaced").filter_map(|(socket, _)| {
        let next = *view.audible(socket, socket.position_before(socket.flow.len()), u64::MAX).first()?;
        Some(view.with_after(socket.told.last()?.0, heard(socket, next.seq, next.id)))
    });
    of.collect()
}
