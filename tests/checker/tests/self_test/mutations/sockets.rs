//! Where a socket begins and ends: resumes that lie, ends that are none.

use super::{Mutation, Spoiled};
use crate::view::{Patch, Seen, View, heard};
use presence_api::{
    event::EventId,
    frames::Resume,
    history::{Act, Entry, Outcome},
};
use presence_checker::Invariant::I6;

pub(super) const ALL: &[Mutation] = &[
    Mutation { name: "hear after the close", aims: &[I6], spoil: after_close },
    Mutation { name: "resume without the resync owed", aims: &[I6], spoil: unpaid_resync },
    Mutation { name: "resume further on", aims: &[I6], spoil: resume_ahead },
    Mutation { name: "resume further back", aims: &[I6], spoil: resume_behind },
    Mutation { name: "resume unasked", aims: &[I6], spoil: resumed_unasked },
    Mutation { name: "begin earlier than said", aims: &[I6], spoil: begin_earlier },
    Mutation { name: "begin later than said", aims: &[I6], spoil: begin_later },
    Mutation { name: "hear without having entered", aims: &[I6], spoil: uninvited },
    Mutation { name: "hear without a connect", aims: &[I6], spoil: stray },
    Mutation { name: "slow consumer goes on", aims: &[I6], spoil: slow_goes_on },
    Mutation { name: "slow consumer stays open", aims: &[I6], spoil: slow_stays },
];

fn something() -> EventId {
    EventId { entity_type: "chat".into(), operation: "added".into(), sequence_id: 1 }
}

fn after_close(view: &View<'_>) -> Spoiled {
    let of = view.sockets.iter().filter_map(|socket| {
        let next = *view.audible(socket, socket.position_before(socket.flow.len()), u64::MAX).first()?;
        Some(view.with_after(socket.closed?, heard(socket, next.seq, next.id)))
    });
    of.collect()
}

fn unpaid_resync(view: &View<'_>) -> Spoiled {
    let owed = |it: &&Seen<'_>| it.resume.is_some() && it.entered.is_some_and(|entered| !entered.2);
    let of = view.sockets.iter().filter(owed).filter(|it| it.notices_before(1));
    of.map(|it| Patch::without(&[it.flow[0].0])).collect()
}

fn resuming_from(view: &View<'_>, socket: &Seen<'_>, from: u64) -> Patch {
    view.edited(socket.connect, |entry| {
        if let Act::Connect { resume: Some(Resume { last_seq, .. }), .. } = &mut entry.act {
            *last_seq = from;
        }
    })
}

fn resumed<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = &'v Seen<'a>> {
    view.sockets.iter().filter(|it| it.entered.is_some_and(|entered| entered.2))
}

fn resume_ahead(view: &View<'_>) -> Spoiled {
    let of = resumed(view).filter_map(|it| Some((it, it.flow.first().filter(|first| first.2)?.1)));
    of.map(|(socket, seq)| resuming_from(view, socket, seq)).collect()
}

fn resume_behind(view: &View<'_>) -> Spoiled {
    let of = resumed(view).filter(|it| it.notices_before(0));
    let of = of.filter_map(|it| Some((it, view.audible(it, 0, it.position_before(0)).last()?.seq)));
    of.map(|(socket, seq)| resuming_from(view, socket, seq - 1)).collect()
}

fn entering(view: &View<'_>, socket: &Seen<'_>, edit: impl FnOnce(&mut u64, &mut bool)) -> Patch {
    view.edited(socket.connect, |entry| {
        if let Act::Connect { outcome: Outcome::Entered { seq, resumed, .. }, .. } = &mut entry.act {
            edit(seq, resumed);
        }
    })
}

fn fresh<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = &'v Seen<'a>> {
    view.sockets.iter().filter(|it| it.entered.is_some() && it.resume.is_none())
}

fn resumed_unasked(view: &View<'_>) -> Spoiled {
    fresh(view).map(|it| entering(view, it, |_, resumed| *resumed = true)).collect()
}

fn begin_earlier(view: &View<'_>) -> Spoiled {
    let of = fresh(view).filter(|it| it.notices_before(0));
    let of = of.filter_map(|it| Some((it, view.audible(it, 0, it.position_before(0)).last()?.seq)));
    of.map(|(socket, from)| entering(view, socket, |seq, _| *seq = from - 1)).collect()
}

fn begin_later(view: &View<'_>) -> Spoiled {
    let of = fresh(view).filter_map(|it| Some((it, it.flow.first().filter(|first| first.2)?.1)));
    of.map(|(socket, from)| entering(view, socket, |seq, _| *seq = from)).collect()
}

fn uninvited(view: &View<'_>) -> Spoiled {
    let of = view.sockets.iter().filter(|it| it.entered.is_none());
    of.map(|it| view.with_after(it.connect, heard(it, 1, &something()))).collect()
}

fn stray(view: &View<'_>) -> Spoiled {
    let lines = view.sockets.iter().flat_map(|it| it.flow.iter().filter(|it| it.2)).map(|it| it.0);
    let edit = |entry: &mut Entry| {
        if let Act::Heard { socket, .. } = &mut entry.act {
            *socket = 9_999;
        }
    };
    lines.map(|line| view.edited(line, edit)).collect()
}

fn slow<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'v Seen<'a>, usize)> {
    let told = |it: &'v Seen<'a>| {
        let told = it.told.iter().find(|(_, reason)| *reason == "slow_consumer")?;
        Some((it, told.0))
    };
    view.sockets.iter().filter_map(told)
}

fn slow_goes_on(view: &View<'_>) -> Spoiled {
    let of = slow(view).filter_map(|(socket, told)| {
        let next = *view.audible(socket, socket.position_before(socket.flow.len()), u64::MAX).first()?;
        Some(view.with_after(told, heard(socket, next.seq, next.id)))
    });
    of.collect()
}

fn slow_stays(view: &View<'_>) -> Spoiled {
    slow(view).filter_map(|(socket, _)| Some(Patch::without(&[socket.closed?]))).collect()
}
