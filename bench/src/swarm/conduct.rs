//! How one agent behaves, pure: what it hears and what its owner wants goes in, what to do with sockets comes out.
//!
//! It makes before it breaks: told `terminated`, it connects elsewhere and closes the old socket only once the new one
//! is in. It comes back from a loss after a full-jitter pause, never before the server's `reconnect_after_ms`, and
//! names the newest session and position that it knows. It never has more than two sockets: there are two slots.

pub(crate) use super::moves::{Deed, Effect, Input, Millis, News, ServerId};
use super::{
    chance::Chance,
    slots::{Slot, Slots, Stage},
};
use presence_api::frames::Resume;
use presence_core::close::Reason;

/// The first pause after a loss is drawn from 0 to this; each one that follows from twice as much.
const BASE: Millis = 100;
const CAP: Millis = 5_000;
/// A server that puts its clients off for longer is not believed.
const LONGEST_AFTER: Millis = 60_000;
/// Whoever was in for so long begins again with the shortest pause.
const STEADY: Millis = 5_000;
/// Two sockets of one agent are the server's to settle, for so long; then the agent closes the older one itself.
const RACE: Millis = 15_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Will {
    /// It has not begun.
    Wait,
    Present,
    /// What it has may go on; nothing new is opened.
    Done,
}

#[derive(Debug)]
pub(crate) struct Conduct {
    chance: Chance,
    /// Whether it comes back when it is told to go, or lost.
    returns: bool,
    will: Will,
    slots: Slots,
    /// How many sockets it has had: the next one's number.
    opened: u64,
    known: Option<Resume>,
    /// Losses since it was last in for a while.
    losses: u32,
    /// No socket is opened before this.
    not_before: Millis,
    avoid: Option<ServerId>,
}

impl Conduct {
    pub(crate) const fn new(chance: Chance, returns: bool) -> Self {
        Self {
            chance,
            returns,
            will: Will::Wait,
            slots: Slots::new(),
            opened: 0,
            known: None,
            losses: 0,
            not_before: 0,
            avoid: None,
        }
    }

    /// It has a socket with a session.
    pub(crate) fn is_in(&self) -> bool {
        self.slots.live().any(Slot::is_held)
    }

    /// How many of its sockets have a session.
    pub(crate) fn held(&self) -> usize {
        self.slots.live().filter(|slot| slot.is_held()).count()
    }

    /// It has a socket that was not answered yet.
    pub(crate) fn is_trying(&self) -> bool {
        self.slots.live().any(|slot| slot.stage == Stage::Trying)
    }

    /// It was told to go elsewhere, and still has the socket that it was told on.
    pub(crate) fn is_told(&self) -> bool {
        self.slots.live().any(Slot::was_told)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.will != Will::Wait
    }

    /// It opens no socket any more. It may still have one.
    pub(crate) fn is_done(&self) -> bool {
        self.will == Will::Done
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_done() && self.slots.count() == 0
    }

    /// The newest session and position: what it would resume from.
    pub(crate) const fn known(&self) -> Option<Resume> {
        self.known
    }

    pub(crate) fn sockets(&self) -> usize {
        self.slots.count()
    }

    /// When it wants to hear `Due`.
    pub(crate) fn due(&self) -> Option<Millis> {
        if self.will != Will::Present {
            return None;
        }
        let mut live = self.slots.live();
        match (live.next(), live.next()) {
            (None, _) => Some(self.not_before),
            (Some(Slot { stage: Stage::Held { move_at: Some(at), .. }, .. }), None) => {
                self.returns.then_some(self.not_before.max(*at))
            }
            (
                Some(Slot { stage: Stage::Held { since: one, .. }, .. }),
                Some(Slot { stage: Stage::Held { since: other, .. }, .. }),
            ) => Some(one.max(other).saturating_add(RACE)),
            _ => None,
        }
    }

    /// The server that a socket was opened to.
    pub(crate) fn placed(&mut self, socket: u64, server: ServerId) {
        if let Some(slot) = self.slots.get(socket) {
            slot.server = Some(server);
        }
    }

    /// An event was heard on any socket. Whether the agent hears it for the first time.
    pub(crate) fn hear(&mut self, seq: u64) -> bool {
        let known = self.known.as_mut();
        known.is_some_and(|known| {
            let fresh = seq > known.last_seq;
            known.last_seq = known.last_seq.max(seq);
            fresh
        })
    }

    pub(crate) fn step(&mut self, now: Millis, input: Input) -> Vec<Effect> {
        match input {
            Input::Due if self.due().is_some_and(|due| due <= now) => self.act(now),
            Input::Due => vec![],
            Input::On(socket, news) => self.hear_news(now, socket, news),
            Input::Do(deed) => self.perform(now, deed),
        }
    }

    /// What was due: a first socket, a successor, or the end of a race that no server settled.
    fn act(&mut self, now: Millis) -> Vec<Effect> {
        if self.slots.live().count() == 2 {
            let older = self.slots.live().min_by_key(|slot| slot.socket).map(|slot| slot.socket);
            return older.map(|socket| self.close(socket)).into_iter().collect();
        }
        self.open(now, self.known)
    }

    fn hear_news(&mut self, now: Millis, socket: u64, news: News) -> Vec<Effect> {
        if self.slots.get(socket).is_none() {
            return vec![];
        }
        match news {
            News::Entered { session_id, seq, resumed } => {
                return self.entered(now, socket, Resume { session_id, last_seq: seq }, resumed);
            }
            News::Resync { seq } => {
                self.hear(seq);
            }
            News::Terminated { after } => self.told(now, socket, after),
            News::Error { after } => {
                if let Some(slot) = self.slots.get(socket) {
                    slot.after = after.unwrap_or(0).min(LONGEST_AFTER);
                }
            }
            News::Ended { code } => self.ended(now, socket, code),
        }
        vec![]
    }

    fn entered(&mut self, now: Millis, socket: u64, state: Resume, resumed: bool) -> Vec<Effect> {
        let Some(slot) = self.slots.get(socket).filter(|slot| slot.stage == Stage::Trying) else {
            return vec![];
        };
        slot.stage = Stage::Held { session_id: state.session_id, since: now, move_at: None };
        let other = self.slots.live().find(|other| other.socket != socket).copied();
        let heard = self.known.map(|known| known.last_seq);
        let last_seq = match heard {
            // The missed events follow one by one: a loss before they came must not skip them.
            Some(heard) if resumed => heard,
            // What the other socket brought since is known all the same.
            Some(heard) if other.is_some_and(|other| other.is_held()) => heard.max(state.last_seq),
            _ => state.last_seq,
        };
        self.known = Some(Resume { session_id: state.session_id, last_seq });
        other.filter(Slot::was_told).map(|old| self.close(old.socket)).into_iter().collect()
    }

    fn told(&mut self, now: Millis, socket: u64, after: Millis) {
        let at = now.saturating_add(after.min(LONGEST_AFTER));
        let Some(slot) = self.slots.get(socket) else { return };
        if let Stage::Held { move_at, .. } = &mut slot.stage {
            // The first word stands: a server that repeats itself does not put its client off.
            move_at.get_or_insert(at);
            self.avoid = slot.server;
        }
    }

    fn ended(&mut self, now: Millis, socket: u64, code: Option<u16>) {
        let Some(slot) = self.slots.take(socket).filter(Slot::is_live) else { return };
        let other = self.slots.live().next().copied();
        if let Some(Slot { stage: Stage::Held { session_id, .. }, .. }) = other {
            // That session goes on, so it is the newest.
            self.known = self.known.map(|known| Resume { session_id, ..known });
        }
        if !comes_back(code) {
            // Replaced by our own other socket, it is not the end.
            if other.is_none() || code != Some(REPLACED) {
                self.will = Will::Done;
            }
        } else if slot.is_held() && !self.returns && other.is_none() {
            self.will = Will::Done;
        }
        if let Stage::Held { since, .. } = slot.stage
            && now.saturating_sub(since) >= STEADY
        {
            self.losses = 0;
        }
        self.avoid = slot.server.or(self.avoid);
        self.not_before = now.saturating_add(self.pause(slot.after));
    }

    /// Full jitter, and not before the server wants it.
    fn pause(&mut self, after: Millis) -> Millis {
        let most = BASE.saturating_mul(1 << self.losses.min(16)).min(CAP);
        self.losses = self.losses.saturating_add(1);
        self.chance.up_to(most).max(after)
    }

    fn perform(&mut self, now: Millis, deed: Deed) -> Vec<Effect> {
        match deed {
            Deed::Enter | Deed::EnterTwice if self.will == Will::Wait => {
                self.will = Will::Present;
                let mut effects = self.open(now, None);
                if deed == Deed::EnterTwice {
                    effects.extend(self.open(now, None));
                }
                effects
            }
            Deed::Leave { pause } if self.is_steady() => {
                self.forget();
                self.not_before = now.saturating_add(pause);
                self.close_all()
            }
            Deed::Reload { remembers } if self.is_steady() => {
                let mut effects = self.close_all();
                if !remembers {
                    self.forget();
                }
                effects.extend(self.open(now, self.known));
                effects
            }
            Deed::Vanish { pause } if self.is_steady() => {
                self.not_before = now.saturating_add(pause);
                if !self.returns {
                    self.will = Will::Done;
                }
                self.slots.take_all().map(|slot| Effect::Drop(slot.socket)).collect()
            }
            Deed::Double if self.is_steady() => self.open(now, None),
            Deed::Stop => {
                self.will = Will::Done;
                self.close_all()
            }
            _ => vec![],
        }
    }

    /// It has one socket, with a session, and wants no other.
    fn is_steady(&self) -> bool {
        self.will == Will::Present
            && self.slots.live().count() == 1
            && self.slots.live().all(|slot| slot.is_held() && !slot.was_told())
    }

    fn forget(&mut self) {
        (self.known, self.avoid, self.losses) = (None, None, 0);
    }

    /// There may be no more than two: one that only waits for the server's good-bye gives way.
    fn open(&mut self, now: Millis, resume: Option<Resume>) -> Vec<Effect> {
        let mut effects = vec![];
        if self.sockets() == 2
            && let Some(leaving) = self.slots.take_leaving()
        {
            effects.push(Effect::Drop(leaving.socket));
        }
        if self.slots.put(Slot::trying(self.opened)) {
            effects.push(Effect::Open { socket: self.opened, resume, avoid: self.avoid });
            self.opened += 1;
            self.not_before = now;
        }
        effects
    }

    /// One that was not answered yet cannot say good-bye.
    fn close(&mut self, socket: u64) -> Effect {
        match self.slots.get(socket) {
            Some(slot) if slot.is_held() => {
                slot.stage = Stage::Leaving;
                Effect::Close(socket)
            }
            _ => {
                self.slots.take(socket);
                Effect::Drop(socket)
            }
        }
    }

    fn close_all(&mut self) -> Vec<Effect> {
        let live: Vec<u64> = self.slots.live().map(|slot| slot.socket).collect();
        live.into_iter().map(|socket| self.close(socket)).collect()
    }
}

/// Whether a client should connect again after this close, as THE table has it; 1001 and 1011 to 1013 are of proxies.
const fn comes_back(code: Option<u16>) -> bool {
    matches!(code, None | Some(4000..=4499 | 1001 | 1006 | 1011..=1013))
}

const REPLACED: u16 = Reason::Replaced.row().code;

#[cfg(test)]
#[path = "conduct_tests.rs"]
mod tests;
