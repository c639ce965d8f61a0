//! Histories by hand: one agent in one classroom, milliseconds from the beginning, a line per call.

use presence_api::{
    event::{EventId, Operation},
    frames::Resume,
    history::{About, Act, Entry, Key, Outcome, Side},
};
use presence_checker::{Terms, Verdict, judge};
use presence_core::ids::SessionId;

#[derive(Debug, Default)]
pub(crate) struct Script(pub(crate) Vec<Entry>);

fn key() -> Key {
    Key { agent_id: "web.a.example".into(), classroom_id: "c".into() }
}

fn someone() -> About {
    About { classroom_id: "c".into(), about: None, receiver: None, sender: None }
}

fn chat(n: i64) -> EventId {
    EventId { entity_type: "chat".into(), operation: "added".into(), sequence_id: n }
}

impl Script {
    pub(crate) fn line(mut self, (began, at): (i64, i64), actor: &str, act: Act) -> Self {
        let entry = Entry { began: began * 1_000, at: at * 1_000, actor: actor.into(), act };
        self.0.push(entry);
        self
    }

    /// Session, position, and from where it resumed.
    pub(crate) fn enter(
        self,
        span: (i64, i64),
        (actor, socket): (&str, u64),
        (session_id, seq): (i64, u64),
        resume: Option<u64>,
    ) -> Self {
        let resumed = resume.is_some();
        let resume = resume.map(|last_seq| Resume { session_id, last_seq });
        let outcome = Outcome::Entered { session_id, seq, resumed, replica: "r0".into(), agents_total: 1 };
        self.line(span, actor, Act::Connect { socket, key: key(), resume, outcome })
    }

    pub(crate) fn unknown(self, span: (i64, i64), (actor, socket): (&str, u64)) -> Self {
        let outcome = Outcome::Unknown { why: "no answer".into() };
        self.line(span, actor, Act::Connect { socket, key: key(), resume: None, outcome })
    }

    pub(crate) fn hear(self, at: i64, (actor, socket): (&str, u64), seq: u64) -> Self {
        let id = chat(seq.cast_signed());
        self.line((at, at), actor, Act::Heard { socket, seq, id, about: someone() })
    }

    pub(crate) fn say(self, at: i64, seq: u64) -> Self {
        let id = chat(seq.cast_signed());
        self.line((at, at), "witness", Act::Published { seq, id, about: someone() })
    }

    pub(crate) fn resync(self, at: i64, (actor, socket): (&str, u64), seq: u64) -> Self {
        self.line((at, at), actor, Act::Resync { socket, seq, agents_total: 1 })
    }

    pub(crate) fn told(self, at: i64, (actor, socket): (&str, u64), reason: &str) -> Self {
        let reason = reason.into();
        self.line((at, at), actor, Act::Told { socket, reason, reconnect_after_ms: None })
    }

    pub(crate) fn close(self, at: i64, (actor, socket): (&str, u64), by: Side, code: Option<u16>) -> Self {
        self.line((at, at), actor, Act::Closed { socket, by, code })
    }

    pub(crate) fn tell(self, at: i64, seq: u64, operation: Operation, id: i64) -> Self {
        let Key { agent_id, classroom_id } = key();
        let about =
            About { classroom_id, about: Some(agent_id.clone()), receiver: None, sender: Some(agent_id) };
        let id = EventId::agent(operation, SessionId(id));
        self.line((at, at), "witness", Act::Published { seq, id, about })
    }

    pub(crate) fn live(self, at: i64, session_id: i64, started_at: i64) -> Self {
        let (replica, started_at) = ("r0".to_owned(), started_at * 1_000);
        let act = Act::Live { session_id, key: key(), generation: 1, replica, started_at };
        self.line((at, at), "reader", act)
    }

    pub(crate) fn ended(self, at: i64, session_id: i64, (started_at, ended_at): (i64, i64)) -> Self {
        let (started_at, ended_at) = (started_at * 1_000, ended_at * 1_000);
        self.line((at, at), "reader", Act::Ended { session_id, key: key(), started_at, ended_at })
    }

    pub(crate) fn waiting(self, at: i64, session_id: i64, operation: &str) -> Self {
        let operation = operation.into();
        self.line((at, at), "reader", Act::Waiting { session_id, operation, key: key() })
    }

    pub(crate) fn fault(self, span: (i64, i64), what: &str, whom: &str) -> Self {
        self.line(span, "saboteur", Act::Fault { what: what.into(), whom: whom.into() })
    }

    pub(crate) fn quiet(self, at: i64) -> Self {
        self.line((at, at), "run", Act::Quiet {})
    }

    pub(crate) fn verdict(&self) -> Verdict {
        judge(&self.0, &Terms::default())
    }

    #[track_caller]
    pub(crate) fn is_accepted(&self) {
        let verdict = self.verdict();
        assert!(verdict.holds(), "{verdict}");
    }

    #[track_caller]
    pub(crate) fn is_rejected_by(&self, invariant: presence_checker::Invariant) {
        let verdict = self.verdict();
        assert_eq!(verdict.standing(invariant), presence_checker::Standing::Violated, "{verdict}");
    }
}
