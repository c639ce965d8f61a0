//! I6: each socket hears exactly what was published for it, in order, from where it began; a `resync` makes good what
//! went before it, and the tail of a socket that ended may be missing. I9: nobody hears another classroom.

use crate::{
    record::{Entered, Record, Socket},
    stream::Publication,
    verdict::{
        Invariant::{I6, I9},
        Sheet,
    },
};
use presence_api::{
    event::EventId,
    history::{About, Act, Key},
};
use presence_core::close::Reason;
use std::collections::HashMap;

pub(crate) fn check(record: &Record<'_>, sheet: &mut Sheet) {
    for &line in &record.strays {
        sheet.find(I6, &[line], || "heard on a socket that never connected".into());
    }
    let (mut sockets, mut heard) = (0, 0);
    for socket in &record.sockets {
        heard += heards(record, socket);
        if let Some(entered) = socket.entered {
            sockets += 1;
            Ear::new(record, socket, entered).listen(sheet);
        } else if let Some(&line) = socket.lines.iter().find(|&&line| is_heard(&record.history[line].act)) {
            sheet.find(I6, &[socket.line, line], || "heard on a socket that did not enter".into());
        }
    }
    positions(record, sheet);
    let on = [(sockets, "sockets"), (heard, "events heard")];
    let judged = if record.stream.is_witnessed() { &on[..] } else { &[] };
    sheet.judged(I6, judged, "nobody witnessed the stream, or nobody entered");
    sheet.judged(I9, &[(heard, "events heard"), (sockets, "sockets")], "nobody entered");
}

fn is_heard(act: &Act) -> bool {
    matches!(act, Act::Heard { .. } | Act::Resync { .. })
}

fn heards(record: &Record<'_>, socket: &Socket<'_>) -> usize {
    socket.lines.iter().filter(|&&line| matches!(record.history[line].act, Act::Heard { .. })).count()
}

/// A client resumes from a position that it was told of: beyond it lies what it would miss without knowing.
fn positions(record: &Record<'_>, sheet: &mut Sheet) {
    let mut sockets: HashMap<(&str, u64), &Key> = HashMap::new();
    let mut known: HashMap<(&str, &Key), u64> = HashMap::new();
    for (line, entry) in record.history.iter().enumerate() {
        let actor = entry.actor.as_str();
        let (key, position) = match &entry.act {
            Act::Connect { socket, key, resume, outcome, .. } => {
                sockets.insert((actor, *socket), key);
                let reached = known.get(&(actor, key)).copied();
                if let Some(resume) = resume.filter(|it| it.last_seq > reached.unwrap_or_default()) {
                    sheet.find(I6, &[line], || {
                        format!("resumes from {}, where this client never was", resume.last_seq)
                    });
                }
                match outcome {
                    presence_api::history::Outcome::Entered { seq, .. } => (key, *seq),
                    _ => continue,
                }
            }
            Act::Heard { socket, seq, .. } | Act::Resync { socket, seq, .. } => {
                let Some(key) = sockets.get(&(actor, *socket)) else { continue };
                (*key, *seq)
            }
            _ => continue,
        };
        let at = known.entry((actor, key)).or_default();
        *at = (*at).max(position);
    }
}

/// One socket, and where it is in its classroom's stream.
struct Ear<'r, 'a> {
    record: &'r Record<'a>,
    socket: &'r Socket<'a>,
    entered: Entered,
    room: &'r [Publication<'a>],
    /// The next event of the room.
    next: usize,
    position: u64,
    /// It asked to resume and could not: the state comes first.
    owes_resync: bool,
    /// What it was told that ends it.
    over: Option<usize>,
}

impl<'r, 'a> Ear<'r, 'a> {
    fn new(record: &'r Record<'a>, socket: &'r Socket<'a>, entered: Entered) -> Self {
        let room = record.stream.rooms.get(socket.key.classroom_id.as_str()).map_or(&[][..], Vec::as_slice);
        let asked = socket.resume.map(|resume| resume.last_seq);
        let position = asked.filter(|_| entered.resumed).unwrap_or(entered.seq);
        let next = room.partition_point(|event| event.seq <= position);
        let owes_resync = asked.is_some() && !entered.resumed;
        Self { record, socket, entered, room, next, position, owes_resync, over: None }
    }

    fn listen(mut self, sheet: &mut Sheet) {
        self.welcome(sheet);
        for &line in &self.socket.lines {
            match &self.record.history[line].act {
                Act::Heard { seq, id, about, .. } => self.heard(line, *seq, (id, about), sheet),
                Act::Resync { seq, .. } => {
                    self.still_open(line, sheet);
                    self.resynced(*seq);
                }
                // It delivers on until it is closed: the new socket comes before the old one goes.
                Act::Told { reason, .. } if reason == Reason::Terminated.row().name => {}
                _ => self.over = Some(line),
            }
        }
        self.end(sheet);
    }

    fn welcome(&self, sheet: &mut Sheet) {
        let line = self.socket.line;
        match self.socket.resume {
            None if self.entered.resumed => {
                sheet.find(I6, &[line], || "resumed, though it did not ask for that".into());
            }
            Some(resume) if self.entered.resumed && self.entered.seq < resume.last_seq => {
                sheet.find(I6, &[line], || "resumed to a position before the one it asked for".into());
            }
            _ => {}
        }
    }

    fn still_open(&self, line: usize, sheet: &mut Sheet) {
        let closed = self.socket.closed.map(|closed| closed.line).filter(|&closed| closed < line);
        if let Some(end) = self.over.or(closed) {
            sheet.find(I6, &[end, line], || "heard after the end of its socket".into());
        }
    }

    fn heard(&mut self, line: usize, seq: u64, (id, about): (&EventId, &About), sheet: &mut Sheet) {
        self.still_open(line, sheet);
        self.own_classroom(line, seq, about, sheet);
        if std::mem::take(&mut self.owes_resync) {
            sheet.find(I6, &[self.socket.line, line], || "events came where a resync was owed".into());
        }
        if seq <= self.position {
            sheet.find(I6, &[self.socket.line, line], || {
                format!("heard {seq} when it was at {} already", self.position)
            });
            return;
        }
        self.skip_to(seq, line, sheet);
        self.position = seq;
        let Some(event) = self.room.get(self.next).filter(|event| event.seq == seq) else {
            let elsewhere = self.record.stream.by_seq.contains_key(&seq);
            if self.record.stream.is_witnessed() && !elsewhere && self.record.stream.range(seq).is_some() {
                sheet.find(I6, &[line], || format!("heard {seq}, which was never published"));
            }
            return;
        };
        self.next += 1;
        if event.id != id {
            sheet.find(I6, &[event.line, line], || format!("heard something else at {seq}"));
        } else if !event.is_for(&self.socket.key.agent_id) {
            sheet.find(I6, &[event.line, line], || format!("heard {seq}, which was not for this agent"));
        }
    }

    fn own_classroom(&self, line: usize, seq: u64, about: &About, sheet: &mut Sheet) {
        let own = self.socket.key.classroom_id.as_str();
        let published = self.record.stream.by_seq.get(&seq);
        if about.classroom_id != own {
            sheet.find(I9, &[self.socket.line, line], || format!("heard an event of {}", about.classroom_id));
        } else if let Some(event) = published.filter(|event| event.about.classroom_id != own) {
            sheet.find(I9, &[self.socket.line, event.line, line], || {
                format!("heard an event of {}", event.about.classroom_id)
            });
        }
    }

    /// Whatever lies before `seq` and was for this agent is missing.
    fn skip_to(&mut self, seq: u64, line: usize, sheet: &mut Sheet) {
        let ahead = &self.room[self.next..];
        let skipped = ahead.partition_point(|event| event.seq < seq);
        self.report(&ahead[..skipped], line, sheet);
        self.next += skipped;
    }

    fn report(&self, skipped: &[Publication<'_>], line: usize, sheet: &mut Sheet) {
        let mut missing = skipped.iter().filter(|event| event.is_for(&self.socket.key.agent_id));
        if let Some(first) = missing.next() {
            let more = missing.count();
            sheet.find(I6, &[self.socket.line, first.line, line], || {
                format!("{} was never heard, nor were {more} more after it", first.seq)
            });
        }
    }

    fn resynced(&mut self, seq: u64) {
        self.owes_resync = false;
        self.position = self.position.max(seq);
        self.next += self.room[self.next..].partition_point(|event| event.seq <= self.position);
    }

    fn end(self, sheet: &mut Sheet) {
        let Some(quiet) = self.record.quiet else { return };
        if !self.socket.is_open_at(quiet.began) {
            return;
        }
        if let Some(over) = self.over {
            sheet.find(I6, &[self.socket.line, over], || "told that it ends, and still open".into());
            return;
        }
        if self.owes_resync {
            sheet.find(I6, &[self.socket.line], || "could not resume, and got no resync".into());
        }
        let ahead = &self.room[self.next..];
        let before: Vec<_> = ahead.iter().filter(|event| event.at < quiet.began).copied().collect();
        self.report(&before, quiet.line, sheet);
    }
}
