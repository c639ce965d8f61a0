//! What an agent makes of what its sockets bring: into its history, into the counts, and on to its conduct.

use super::{
    board::Board,
    conduct::{Input, Millis, News},
    life::Agent,
    line::Heard,
    words::{Event, Welcome, Words},
};
use crate::app::ORG;
use presence_api::history::{Act, Outcome, Side};
use presence_core::close::Reason;

const TERMINATED: &str = Reason::Terminated.row().name;
const REPLACED: u16 = Reason::Replaced.row().code;
/// Nothing to name an end by.
const NO_CODE: u16 = 1005;

impl Agent {
    /// Everything that one look at a line brought, in order.
    pub(super) fn hear_all(&mut self, place: usize, heard: Vec<Heard>) {
        // What was read together was heard together.
        let (now, at) = (self.now(), self.world.clock.now());
        if let Some(rope) = &mut self.lines[place] {
            rope.heard = now;
        }
        for one in heard {
            if self.lines[place].is_none() {
                return;
            }
            self.hear(place, at, one);
        }
    }

    fn hear(&mut self, place: usize, at: i64, heard: Heard) {
        match heard {
            Heard::Asked { began } => {
                let now = self.world.clock.millis();
                let within = self.world.plan.answer_within.as_millis();
                if let Some(rope) = &mut self.lines[place] {
                    rope.line.asked = Some(began);
                    rope.deadline = Some(now.saturating_add(Millis::try_from(within).unwrap_or(Millis::MAX)));
                }
                self.world.board().counts.asked += 1;
            }
            Heard::LetIn(sid) => {
                let Some((rope, guise)) = self.lines[place].as_ref().zip(self.world.guise(self.index)) else {
                    return;
                };
                let (socket, kind) = (rope.line.number, guise.role.to_owned());
                let (user_id, org_id) = (guise.user, ORG.to_owned());
                self.record(at, at, || Act::Admitted { socket, user_id, org_id, kind, sid });
            }
            Heard::NotAsked(why) => {
                let mut board = self.world.board();
                board.counts.failed += 1;
                board.first_failure.get_or_insert(why);
                drop(board);
                self.end(place, None);
            }
            Heard::Words(Words::Welcome(welcome)) => self.come_in(place, at, &welcome),
            Heard::Words(Words::Event(event)) => self.hear_event(place, at, event),
            Heard::Words(Words::Resync { seq, agents_total }) => {
                self.hear_resync(place, at, seq, agents_total);
            }
            Heard::Words(Words::Error { kind, reconnect_after_ms }) => {
                self.hear_error(place, at, kind, reconnect_after_ms);
            }
            Heard::Words(Words::Unknown) => {}
            Heard::Gibberish => self.world.board().counts.gibberish += 1,
            Heard::Closed(code) => {
                self.record_end(place, Some(code.unwrap_or(NO_CODE)), "closed");
                self.end(place, Some(code.unwrap_or(NO_CODE)));
            }
            Heard::Broken(why) => {
                self.record_end(place, None, &why);
                self.end(place, None);
            }
        }
    }

    fn come_in(&mut self, place: usize, at: i64, welcome: &Welcome) {
        let stall = self.stalls();
        let Some(rope) = &mut self.lines[place] else { return };
        let began = rope.line.asked.unwrap_or(at);
        rope.line.is_answered();
        (rope.deadline, rope.stall, rope.line.stalled) = (None, stall, stall.is_some());
        rope.line.live_from = welcome.seq;
        let (socket, resume, owner) = (rope.line.number, rope.line.resume, rope.owner);
        let &Welcome { session_id, seq, resumed, agents_total, ref replica } = welcome;
        self.record(began, at, || {
            let outcome =
                Outcome::Entered { session_id, seq, resumed, replica: replica.clone(), agents_total };
            Act::Connect { socket, key: self.key.clone(), resume, outcome }
        });
        self.take(Input::On(socket, News::Entered { session_id, seq, resumed }));
        self.note_entry(seq, resumed);
        let mut board = self.world.board();
        board.counts.entered += 1;
        board.counts.stalls += u64::from(stall.is_some());
        board.entering.add(at - began);
        if let Some(owner) = owner {
            board.contest(owner, at - began);
        }
        match (resume, resumed) {
            (Some(_), true) => board.counts.resumed += 1,
            (Some(_), false) => board.counts.not_resumed += 1,
            (None, _) => {}
        }
        board.been_in += usize::from(!std::mem::replace(&mut self.been_in, true));
        if std::mem::take(&mut self.was_told) {
            board.moved(self.world.clock.millis());
            board.gaps.add(self.out_since.take().map_or(0, |since| at - since));
        } else if let Some(since) = self.out_since.take() {
            board.gaps.add(at - since);
        }
    }

    fn note_entry(&mut self, seq: u64, resumed: bool) {
        let known = self.conduct.known().map_or(seq, |known| known.last_seq);
        match &mut self.diary {
            Some(diary) if resumed => diary.go_on(known),
            Some(diary) => diary.begin(known),
            None => {}
        }
    }

    fn hear_event(&mut self, place: usize, at: i64, event: Event) {
        let Some(rope) = &mut self.lines[place] else { return };
        let (socket, before) = (rope.line.number, rope.line.last_seq);
        rope.line.last_seq = before.max(event.seq);
        // What is told again, or was asked for, says nothing about how fast news is; nor does who does not read.
        let is_news = event.seq > rope.line.live_from && !self.reads_badly();
        let fresh = self.conduct.hear(event.seq);
        if fresh && let Some(diary) = &mut self.diary {
            diary.hear(event.seq);
        }
        let mut board = self.world.board();
        board.counts.heard += 1;
        board.counts.again += u64::from(!fresh);
        board.counts.disordered += u64::from(event.seq <= before);
        if let Some(due) = event.due.filter(|_| fresh && is_news) {
            board.latency.add(at - due);
        }
        drop(board);
        let Event { seq, id, about, .. } = event;
        self.record(at, at, || Act::Heard { socket, seq, id, about });
    }

    fn hear_resync(&mut self, place: usize, at: i64, seq: u64, agents_total: u64) {
        let Some(rope) = &self.lines[place] else { return };
        let socket = rope.line.number;
        self.record(at, at, || Act::Resync { socket, seq, agents_total });
        self.world.board().counts.resynced += 1;
        self.take(Input::On(socket, News::Resync { seq }));
        let known = self.conduct.known().map_or(seq, |known| known.last_seq);
        if let Some(diary) = &mut self.diary {
            diary.begin(known);
        }
    }

    fn hear_error(&mut self, place: usize, at: i64, kind: String, after: Option<u64>) {
        let Some(rope) = &mut self.lines[place] else { return };
        let (socket, resume, began) = (rope.line.number, rope.line.resume, rope.line.asked.unwrap_or(at));
        let in_before = rope.line.answered;
        if !in_before {
            rope.line.is_answered();
            self.world.board().refuse(&kind);
        }
        let told = kind == TERMINATED && in_before;
        if told {
            self.was_told = true;
            self.world.board().counts.told += 1;
        }
        self.record(if in_before { at } else { began }, at, || {
            if in_before {
                Act::Told { socket, reason: kind, reconnect_after_ms: after }
            } else {
                Act::Connect {
                    socket,
                    key: self.key.clone(),
                    resume,
                    outcome: Outcome::Refused { reason: kind },
                }
            }
        });
        let news = if told { News::Terminated { after: after.unwrap_or(0) } } else { News::Error { after } };
        self.take(Input::On(socket, news));
    }

    /// The line is over for this agent; what that means is its conduct's.
    fn end(&mut self, place: usize, code: Option<u16>) {
        let Some(rope) = self.lines[place].take() else { return };
        let was_in = self.conduct.is_in();
        self.take(Input::On(rope.line.number, News::Ended { code }));
        if self.conduct.is_in() && !self.conduct.is_told() {
            self.was_told = false;
        }
        let ours = rope.line.closing.is_some();
        // Replaced by its own other socket, which is about to be in, it lost nothing.
        let own = code == Some(REPLACED) && self.conduct.is_trying();
        let lost = was_in && !self.conduct.is_in() && !ours && !own;
        let mut board = self.world.board();
        board.counts.replaced += u64::from(code == Some(REPLACED) && rope.line.answered);
        if lost {
            count_loss(&mut board, self.was_told && !self.conduct.is_done());
        }
        drop(board);
        if lost {
            self.lost_at = code.is_none().then_some(rope.line.server);
            self.out_since = Some(self.world.clock.now());
            if let Some(diary) = &mut self.diary {
                diary.end();
            }
        }
    }

    /// Writes how a line ended, as far as its agent can know: an attempt without an answer may have happened.
    pub(super) fn record_end(&mut self, place: usize, code: Option<u16>, why: &str) {
        let Some(rope) = &mut self.lines[place] else { return };
        let (stall, at) = (rope.stall.take(), self.world.clock.now());
        let (socket, resume, closing) = (rope.line.number, rope.line.resume, rope.line.closing);
        let Some(began) = rope.line.asked else { return };
        let unanswered = !std::mem::replace(&mut rope.line.answered, true);
        self.record_stall(stall);
        if unanswered {
            let outcome = match code {
                Some(code) => Outcome::Refused { reason: name_of(code) },
                None => Outcome::Unknown { why: why.to_owned() },
            };
            let mut board = self.world.board();
            match &outcome {
                Outcome::Refused { reason } => board.refuse(reason),
                _ => board.counts.unknown += 1,
            }
            drop(board);
            self.record(began, at, || Act::Connect { socket, key: self.key.clone(), resume, outcome });
        }
        let by = match (code, closing) {
            (None, _) => Side::Broken,
            // It answers our good-bye; any other code is its own.
            (Some(1000 | NO_CODE), Some(_)) => Side::Client,
            (Some(_), _) => Side::Server,
        };
        let code = code.filter(|code| *code != NO_CODE);
        self.record(closing.unwrap_or(at), at, || Act::Closed { socket, by, code });
    }
}

fn count_loss(board: &mut Board, on_the_move: bool) {
    board.counts.lost += 1;
    board.counts.broke_before_make += u64::from(on_the_move);
}

/// A close code as the close table has it.
fn name_of(code: u16) -> String {
    let row = Reason::ALL.iter().map(|reason| reason.row()).find(|row| row.code == code);
    row.map_or_else(|| code.to_string(), |row| row.name.to_owned())
}
