//! The phase in which a client is in: kept time for, asked to go, and how it ends.

use super::{Effect, Effects, Held, Input, Phase, Rules, release};
use crate::{close::Reason, time::Time};

/// How long a socket whose session has moved waits for its client to close it.
const YIELD_PATIENCE: u64 = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    /// None: a guest, who was let in and is in no classroom.
    pub(super) held: Option<Held>,
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

impl Live {
    pub(super) const fn begin(held: Option<Held>, expires: Time, rules: &Rules, now: Time) -> Self {
        let ping_at = now.after(rules.ping_interval);
        Self { held, heard: now, ping_at, pong_by: None, expires, told: false, go_at: None, leave_by: None }
    }

    /// When to come back with `Tick` at the latest.
    pub(super) fn wakes(&self) -> Option<Time> {
        let deadlines = [Some(self.ping_at), self.pong_by, self.go_at, self.leave_by, Some(self.expires)];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn step(mut self, input: Input, rules: &Rules, now: Time) -> (Phase, Effects) {
        match input {
            Input::Frame => self.heard = now,
            Input::Request => {
                self.heard = now;
                return (Phase::Live(self), vec![Effect::Serve]);
            }
            // A guest enters a classroom.
            Input::Connected { held, expires } if self.held.is_none() => {
                (self.held, self.expires) = (Some(held), expires);
            }
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
            Input::Drain { .. }
            | Input::Shed { .. }
            | Input::Connected { .. }
            | Input::Admitted { .. }
            | Input::Refused(_) => {}
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
