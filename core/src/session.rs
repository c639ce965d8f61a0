//! The life of one socket: `step(session, input, now) -> effects`.
//!
//! All policy is here: deadlines, budgets, what a loss means, who still owns what. The runner feeds inputs and
//! performs effects; it decides nothing. Phases: `Opening → Claiming → Live → (Lost | Yielded →) Gone`.

use crate::{
    close::Reason,
    ids::{Generation, SessionId},
    time::Time,
};

/// How long things may take, and how much a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// From the socket's opening to its first frame.
    pub auth_timeout: u64,
    pub ping_interval: u64,
    /// From a ping to its pong.
    pub pong_timeout: u64,
    /// How long a broken connection's session waits for its agent to come back; 0: it does not.
    pub leave_grace: u64,
    /// Frames a client may send per second on average, and at once.
    pub frames_per_second: u32,
    pub frames_burst: u32,
    /// A client that was told to go does so by itself. Where it does not, its socket is closed when it is its time, and
    /// its session waits for it to come back.
    pub follows: bool,
}

/// How long a socket whose session has moved waits for its client to close it.
const YIELD_PATIENCE: u64 = 2_000;

/// What a live socket holds. Every write that gives it up names both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    pub session_id: SessionId,
    pub generation: Generation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is known of the client yet.
    Opening {
        until: Time,
    },
    /// The first request is served; the socket is not read meanwhile.
    Claiming,
    Live(Live),
    /// The socket is gone, the session waits for its agent. Its presence ended `since`.
    Lost {
        held: Option<Held>,
        since: Time,
        until: Time,
        /// Set while this replica lets go: when it waits no longer.
        leave_by: Option<Time>,
    },
    /// The client was told to go, and has its new socket: this one owns nothing any more, and hears nothing; the
    /// client closes it.
    Yielded {
        until: Time,
    },
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Live {
    /// None: a guest, who was let in and is in no classroom.
    held: Option<Held>,
    /// When the client last showed that it is there.
    heard: Time,
    ping_at: Time,
    pong_by: Option<Time>,
    expires: Time,
    /// The client was told to connect elsewhere.
    told: bool,
    /// When a client that does not follow by itself is to go.
    go_at: Option<Time>,
    /// Set while this replica lets go: when this socket closes regardless.
    leave_by: Option<Time>,
}

/// What a session may hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A frame that asks for something: the first one, or one of a client who is in.
    Request,
    /// The first frame, and it was none.
    Malformed(Reason),
    /// The request was granted, and the client has a session. `expires` is the token's end.
    Connected {
        held: Held,
        expires: Time,
    },
    /// The first request was granted, and gives no session yet.
    Admitted {
        expires: Time,
    },
    /// The first request was not granted.
    Refused(Reason),
    /// Any other frame but a pong.
    Frame,
    Pong,
    /// A close frame.
    PeerClosed,
    /// The end of the connection without one.
    Broken,
    /// The client broke the protocol or a limit.
    Violation(Reason),
    /// The client does not read: its queue is full.
    Overflow,
    /// Another socket owns the session now.
    Replaced,
    /// The store no longer knows the session as this socket's.
    Disowned,
    /// Somebody with the right to it ended the session.
    Evicted,
    /// This replica lets go of its sockets: the client is to go after so many milliseconds; what is left at `until` is
    /// closed.
    Drain {
        until: Time,
        after: u64,
    },
    /// This replica has too many: the client is asked to go after so many milliseconds.
    Shed {
        after: u64,
    },
    /// This replica lets go no longer: whoever is still here may stay.
    Stay,
    /// A deadline may have passed.
    Tick,
}

/// What a session may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Do what the client asks for. Of the first request, come back with `Connected`, `Admitted` or `Refused`; of a later
    /// one with `Connected` where it gave a session.
    Serve,
    Ping,
    /// Say it in a frame, and leave the socket open.
    Tell(Reason),
    /// Say it in the frame that the close table names, then close.
    Close(Reason),
    /// Take the socket out of the hub, if it is still this one that is in it.
    Detach,
    /// Give the session up: history, and `left`. The presence ended at `ended`.
    Release {
        held: Held,
        ended: Time,
    },
}

/// The effects of one step, in the order they are to be performed.
pub type Effects = Vec<Effect>;

/// One socket's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    phase: Phase,
    budget: Budget,
}

/// A token bucket over the client's frames, in thousandths of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Budget {
    left: u64,
    filled_at: Time,
}

impl Budget {
    fn spend(&mut self, rules: &Rules, now: Time) -> bool {
        let gained = now.since(self.filled_at).saturating_mul(rules.frames_per_second.into());
        self.left = self.left.saturating_add(gained).min(u64::from(rules.frames_burst) * 1000);
        self.filled_at = now;
        let enough = self.left >= 1000;
        if enough {
            self.left -= 1000;
        }
        enough
    }
}

impl Session {
    pub fn open(rules: &Rules, now: Time) -> Self {
        let budget = Budget { left: u64::from(rules.frames_burst) * 1000, filled_at: now };
        Self { phase: Phase::Opening { until: now.after(rules.auth_timeout) }, budget }
    }

    /// When to come back with `Tick` at the latest.
    pub fn wakes(&self) -> Option<Time> {
        match &self.phase {
            Phase::Opening { until } | Phase::Yielded { until } => Some(*until),
            Phase::Lost { until, leave_by, .. } => Some(leave_by.unwrap_or(*until).min(*until)),
            Phase::Live(live) => {
                let deadlines =
                    [Some(live.ping_at), live.pong_by, live.go_at, live.leave_by, Some(live.expires)];
                deadlines.into_iter().flatten().min()
            }
            Phase::Claiming | Phase::Gone => None,
        }
    }

    /// Nothing more will come of this session.
    pub const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// The socket is closed or about to be: there is nothing to read from it any more.
    pub const fn has_no_socket(&self) -> bool {
        matches!(self.phase, Phase::Gone | Phase::Lost { .. })
    }

    /// The client is in, with a session or without.
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// The client has another socket by now, and this one only waits to be closed.
    pub const fn has_yielded(&self) -> bool {
        matches!(self.phase, Phase::Yielded { .. })
    }

    /// Hears one input. What a phase has no use for is ignored: inputs may cross a transition on their way.
    pub fn step(&mut self, input: Input, rules: &Rules, now: Time) -> Effects {
        let counts =
            matches!(input, Input::Frame | Input::Pong) || matches!(input, Input::Request if self.is_live());
        if counts && !self.budget.spend(rules, now) {
            return self.step(Input::Violation(Reason::PolicyViolation), rules, now);
        }
        let (phase, effects) = match self.phase {
            Phase::Opening { until } => opening(until, input, now),
            Phase::Claiming => claiming(input, rules, now),
            Phase::Live(live) => live.step(input, rules, now),
            lost @ Phase::Lost { .. } => waiting(lost, input, now),
            Phase::Yielded { until } => yielded(until, input, now),
            Phase::Gone => (Phase::Gone, vec![]),
        };
        self.phase = phase;
        effects
    }
}

fn closed(reason: Reason) -> (Phase, Effects) {
    (Phase::Gone, vec![Effect::Close(reason)])
}

fn opening(until: Time, input: Input, now: Time) -> (Phase, Effects) {
    match input {
        Input::Request => (Phase::Claiming, vec![Effect::Serve]),
        Input::Malformed(reason) | Input::Violation(reason) => closed(reason),
        Input::Tick if now >= until => closed(Reason::AuthTimedOut),
        Input::PeerClosed => closed(Reason::Normal),
        Input::Broken => (Phase::Gone, vec![]),
        Input::Drain { .. } => closed(Reason::Terminated),
        Input::Connected { .. }
        | Input::Admitted { .. }
        | Input::Refused(_)
        | Input::Frame
        | Input::Pong
        | Input::Overflow
        | Input::Replaced
        | Input::Disowned
        | Input::Evicted
        | Input::Shed { .. }
        | Input::Stay
        | Input::Tick => (Phase::Opening { until }, vec![]),
    }
}

fn claiming(input: Input, rules: &Rules, now: Time) -> (Phase, Effects) {
    match input {
        Input::Connected { held, expires } => {
            (Phase::Live(Live::begin(Some(held), expires, rules, now)), vec![])
        }
        Input::Admitted { expires } => (Phase::Live(Live::begin(None, expires, rules, now)), vec![]),
        Input::Refused(reason) => closed(reason),
        _ => (Phase::Claiming, vec![]),
    }
}

impl Live {
    const fn begin(held: Option<Held>, expires: Time, rules: &Rules, now: Time) -> Self {
        let ping_at = now.after(rules.ping_interval);
        Self { held, heard: now, ping_at, pong_by: None, expires, told: false, go_at: None, leave_by: None }
    }

    fn step(mut self, input: Input, rules: &Rules, now: Time) -> (Phase, Effects) {
        match input {
            Input::Frame => self.heard = now,
            Input::Request => {
                self.heard = now;
                return (Phase::Live(self), vec![Effect::Serve]);
            }
            // A guest enters a classroom.
            Input::Connected { held, expires } => (self.held, self.expires) = (Some(held), expires),
            Input::Pong => {
                self.heard = now;
                self.pong_by = None;
            }
            // Told to go, and unable to keep this socket until it has another one: it is on its way there.
            Input::PeerClosed if self.told && !rules.follows => return self.lose(None, now, rules, now),
            Input::PeerClosed => return self.leave(Reason::Normal, now),
            Input::Malformed(reason) | Input::Violation(reason) => return self.leave(reason, now),
            Input::Evicted => return self.leave(Reason::Replaced, now),
            Input::Broken => return self.lose(None, now, rules, now),
            Input::Overflow => return self.lose(Some(Reason::SlowConsumer), now, rules, now),
            Input::Replaced => return self.yield_to_another(now),
            Input::Disowned => {
                return (Phase::Gone, vec![Effect::Detach, Effect::Close(Reason::SessionLost)]);
            }
            // Whoever was asked before is told again: now there is a deadline.
            Input::Drain { until, after } if self.leave_by.is_none() => {
                self.leave_by = Some(until);
                return self.told_to_go(after, rules, now);
            }
            Input::Shed { after } if !self.told => return self.told_to_go(after, rules, now),
            Input::Stay => (self.go_at, self.leave_by) = (None, None),
            Input::Tick => return self.tick(rules, now),
            Input::Drain { .. } | Input::Shed { .. } | Input::Admitted { .. } | Input::Refused(_) => {}
        }
        (Phase::Live(self), vec![])
    }

    fn tick(mut self, rules: &Rules, now: Time) -> (Phase, Effects) {
        if self.leave_by.is_some_and(|by| now >= by) {
            return self.leave(Reason::Terminated, now);
        }
        if self.go_at.is_some_and(|at| now >= at) {
            return self.lose(Some(Reason::Terminated), now, rules, now);
        }
        if now >= self.expires {
            return self.lose(Some(Reason::TokenExpired), now, rules, now);
        }
        if self.pong_by.is_some_and(|by| now >= by) {
            // It was last there when it last spoke, not when we noticed.
            return self.lose(Some(Reason::PongTimedOut), self.heard, rules, now);
        }
        if now < self.ping_at {
            return (Phase::Live(self), vec![]);
        }
        self.ping_at = now.after(rules.ping_interval);
        self.pong_by.get_or_insert(now.after(rules.pong_timeout));
        (Phase::Live(self), vec![Effect::Ping])
    }

    fn told_to_go(mut self, after: u64, rules: &Rules, now: Time) -> (Phase, Effects) {
        self.told = true;
        self.go_at = (!rules.follows).then(|| now.after(after));
        (Phase::Live(self), vec![Effect::Tell(Reason::Terminated)])
    }

    /// Another socket has the session. A client that was told to go did as it was told, and closes this socket when
    /// it has the other one: it hears no reproach.
    fn yield_to_another(self, now: Time) -> (Phase, Effects) {
        if !self.told {
            return (Phase::Gone, vec![Effect::Detach, Effect::Close(Reason::Replaced)]);
        }
        let patience = now.after(YIELD_PATIENCE);
        let until = self.leave_by.map_or(patience, |by| by.min(patience));
        (Phase::Yielded { until }, vec![Effect::Detach])
    }

    /// Ends the presence at once.
    fn leave(self, reason: Reason, now: Time) -> (Phase, Effects) {
        let mut effects = vec![Effect::Detach, Effect::Close(reason)];
        effects.extend(release(self.held, now));
        (Phase::Gone, effects)
    }

    /// Ends the socket; the session waits for its agent, who was last there at `since`.
    fn lose(self, told: Option<Reason>, since: Time, rules: &Rules, now: Time) -> (Phase, Effects) {
        let mut effects = vec![Effect::Detach];
        effects.extend(told.map(Effect::Close));
        if rules.leave_grace == 0 {
            effects.extend(release(self.held, since));
            return (Phase::Gone, effects);
        }
        let until = now.after(rules.leave_grace);
        (Phase::Lost { held: self.held, since, until, leave_by: self.leave_by }, effects)
    }
}

/// A guest has nothing to give up.
fn release(held: Option<Held>, ended: Time) -> Option<Effect> {
    held.map(|held| Effect::Release { held, ended })
}

fn yielded(until: Time, input: Input, now: Time) -> (Phase, Effects) {
    match input {
        Input::PeerClosed => closed(Reason::Normal),
        Input::Broken => (Phase::Gone, vec![]),
        Input::Violation(reason) => closed(reason),
        Input::Tick if now >= until => closed(Reason::Terminated),
        _ => (Phase::Yielded { until }, vec![]),
    }
}

/// Without a socket. A replica that lets go waits on, since the agent may come back elsewhere, but not for longer than
/// for everybody else.
fn waiting(phase: Phase, input: Input, now: Time) -> (Phase, Effects) {
    let Phase::Lost { held, since, until, mut leave_by } = phase else { return (phase, vec![]) };
    match input {
        Input::Replaced | Input::Disowned => return (Phase::Gone, vec![]),
        Input::Drain { until, .. } => leave_by = Some(until),
        Input::Stay => leave_by = None,
        _ => {}
    }
    let over = match input {
        Input::Tick | Input::Drain { .. } => now >= until || leave_by.is_some_and(|by| now >= by),
        Input::Evicted => true,
        _ => false,
    };
    if over {
        (Phase::Gone, release(held, since).into_iter().collect())
    } else {
        (Phase::Lost { held, since, until, leave_by }, vec![])
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
