//! A model of a presence that does everything right, and writes the history that it would leave: rows, stream, sockets.
//! It knows the contract (`docs/PROTOCOL.md`), not the checker.

use crate::chance::Chance;
use presence_api::{
    event::{EventId, Operation},
    frames::Resume,
    history::{About, Act, Entry, Key, Outcome, Side},
};
use presence_core::ids::SessionId;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const SECOND: i64 = 1_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) generation: i64,
    pub(crate) replica: String,
    pub(crate) started_at: i64,
    pub(crate) claimed_at: i64,
    /// The agent and the socket that hold it.
    pub(crate) owner: Option<(usize, u64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) socket: u64,
    pub(crate) replica: String,
    /// Nothing reaches it: its queue is full, or its replica has lost the bus.
    pub(crate) deaf: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) actor: String,
    pub(crate) key: Key,
    sockets: u64,
    pub(crate) open: Vec<Open>,
    /// What a resume names: the position that it reached, and its session.
    pub(crate) known: u64,
    pub(crate) session: Option<i64>,
}

/// What a connect says of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    Unspoken,
    /// It resumes, and can.
    Resumed,
    /// It asks to resume, and cannot.
    TooOld,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: i64,
    pub(crate) history: Vec<Entry>,
    pub(crate) agents: Vec<Agent>,
    /// Those that take connects.
    pub(crate) replicas: Vec<String>,
    /// Their sessions are handed over to whoever claims them.
    pub(crate) letting_go: BTreeSet<String>,
    pub(crate) rows: BTreeMap<Key, Row>,
    pub(crate) seq: u64,
    ended: Vec<(i64, Key, i64, i64)>,
    stream: Vec<(u64, EventId, About)>,
    next_id: i64,
    said: i64,
}

impl World {
    /// Three classrooms of five agents; the first agent of each has a twin: the same agent in another window.
    pub(crate) fn new(seed: u64) -> Self {
        let mut agents = Vec::new();
        for (room, label) in
            (0..3).flat_map(|room| ["a", "b", "c", "d", "e", "a'"].map(|label| (room, label)))
        {
            let agent_id = format!("web.{}{room}.example", label.trim_end_matches('\''));
            let key = Key { agent_id, classroom_id: format!("room-{room}") };
            let actor = format!("{label}{room}");
            agents.push(Agent { actor, key, sockets: 0, open: Vec::new(), known: 0, session: None });
        }
        let replicas = (0..3).map(|n| format!("replica-{n}")).collect();
        Self {
            chance: Chance::new(seed),
            now: 1_760_000_000 * SECOND,
            history: Vec::new(),
            agents,
            replicas,
            letting_go: BTreeSet::new(),
            rows: BTreeMap::new(),
            seq: 1_000,
            ended: Vec::new(),
            stream: Vec::new(),
            next_id: 100,
            said: 0,
        }
    }

    pub(crate) fn pass(&mut self, millis: i64) {
        self.now += millis * 1_000 + i64::from(self.chance.number(900)) + 1;
    }

    pub(crate) fn write(&mut self, began: i64, actor: &str, act: Act) {
        self.history.push(Entry { began, at: self.now, actor: actor.to_owned(), act });
    }

    fn publish(&mut self, id: &EventId, about: &About) {
        self.pass(1);
        self.seq += 3 + u64::from(self.chance.number(4));
        let seq = self.seq;
        self.write(self.now, "witness", Act::Published { seq, id: id.clone(), about: about.clone() });
        self.stream.push((seq, id.clone(), about.clone()));
        for agent in 0..self.agents.len() {
            for index in 0..self.agents[agent].open.len() {
                if !self.agents[agent].open[index].deaf && hears(&self.agents[agent].key, about) {
                    self.pass(0);
                    self.hear(agent, self.agents[agent].open[index].socket, (seq, id, about));
                }
            }
        }
    }

    fn hear(&mut self, agent: usize, socket: u64, (seq, id, about): (u64, &EventId, &About)) {
        self.agents[agent].known = self.agents[agent].known.max(seq);
        // What a client knows of an event, which is not whom it was for.
        let about = About { receiver: None, sender: None, ..about.clone() };
        let actor = self.agents[agent].actor.clone();
        self.write(self.now, &actor, Act::Heard { socket, seq, id: id.clone(), about });
    }

    fn tell(&mut self, operation: Operation, id: i64, key: &Key) {
        let about = About {
            classroom_id: key.classroom_id.clone(),
            about: Some(key.agent_id.clone()),
            receiver: None,
            sender: Some(key.agent_id.clone()),
        };
        self.publish(&EventId::agent(operation, SessionId(id)), &about);
    }

    /// A sibling service says something in a classroom, now and then to one agent or on behalf of one.
    pub(crate) fn say(&mut self, classroom_id: &str) {
        self.said += 1;
        let id = EventId { entity_type: "chat".into(), operation: "added".into(), sequence_id: self.said };
        let members: Vec<_> = self
            .agents
            .iter()
            .filter(|it| it.key.classroom_id == classroom_id)
            .map(|it| it.key.agent_id.clone())
            .collect();
        let someone = self.chance.of(&members).clone();
        let (receiver, sender) = match self.chance.below(4) {
            0 => (Some(someone), None),
            1 => (None, Some(someone)),
            _ => (None, None),
        };
        let about = About { classroom_id: classroom_id.into(), about: None, receiver, sender };
        self.publish(&id, &about);
    }

    /// The one atomic step: who gets which session, and what is told of it.
    pub(crate) fn claim(&mut self, key: &Key, replica: &str, resume: Option<i64>) -> i64 {
        let now = self.now;
        let Some(row) = self.rows.get_mut(key) else {
            let id = self.next_id();
            let replica = replica.to_owned();
            let row = Row { id, generation: 1, replica, started_at: now, claimed_at: now, owner: None };
            self.rows.insert(key.clone(), row);
            self.tell(Operation::Entered, id, key);
            return id;
        };
        row.generation += 1;
        row.claimed_at = now;
        row.owner = None;
        let keeps =
            row.replica == replica || resume == Some(row.id) || self.letting_go.contains(&row.replica);
        replica.clone_into(&mut row.replica);
        if !keeps {
            self.ended.push((row.id, key.clone(), row.started_at, now));
            row.started_at = now;
            row.id = self.next_id;
            self.next_id += 1;
        }
        row.id
    }

    fn next_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// A connect that is acknowledged. Whoever held the session is told, unless it was told to go before.
    pub(crate) fn connect(&mut self, agent: usize, replica: &str, past: Past) {
        let began = self.now;
        self.pass(5);
        let (key, actor) = (self.agents[agent].key.clone(), self.agents[agent].actor.clone());
        let asked = self.agents[agent].session.filter(|_| past != Past::Unspoken);
        let resume = asked.map(|session_id| Resume { session_id, last_seq: self.agents[agent].known });
        let session_id = self.claim(&key, replica, asked);
        self.pass(3);
        let socket = self.agents[agent].sockets;
        self.agents[agent].sockets += 1;
        let resumed = resume.is_some() && past == Past::Resumed;
        let seq = self.seq;
        let outcome = Outcome::Entered { session_id, seq, resumed, replica: replica.into(), agents_total: 1 };
        self.write(began, &actor, Act::Connect { socket, key: key.clone(), resume, outcome });
        if let Some(row) = self.rows.get_mut(&key) {
            row.owner = Some((agent, socket));
        }
        if resume.is_some() && !resumed {
            self.write(self.now, &actor, Act::Resync { socket, seq, agents_total: 1 });
        }
        let missed: Vec<_> =
            self.stream.iter().filter(|it| resumed && it.0 > self.agents[agent].known).cloned().collect();
        for (seq, id, about) in missed.iter().filter(|it| hears(&key, &it.2)) {
            self.hear(agent, socket, (*seq, id, about));
        }
        self.agents[agent].known = self.agents[agent].known.max(seq);
        self.agents[agent].session = Some(session_id);
        self.agents[agent].open.push(Open { socket, replica: replica.into(), deaf: false });
        if self.chance.one_in(2) {
            // Make before break: both deliver for a moment.
            self.say(&key.classroom_id);
        }
        self.replace_others(&key, (agent, socket));
    }

    /// The former sockets of a key are told and closed, but for those that were told to go before.
    pub(crate) fn replace_others(&mut self, key: &Key, but: (usize, u64)) {
        for agent in 0..self.agents.len() {
            let same = self.agents[agent].key == *key;
            let old: Vec<_> =
                self.agents[agent].open.iter().map(|it| (it.socket, it.replica.clone())).collect();
            for (socket, replica) in old {
                if same && (agent, socket) != but && !self.letting_go.contains(&replica) {
                    self.pass(2);
                    self.told(agent, socket, "replaced", None);
                    self.close(agent, socket, Side::Server, Some(4506));
                }
            }
        }
    }

    pub(crate) fn told(&mut self, agent: usize, socket: u64, reason: &str, reconnect_after_ms: Option<u64>) {
        let actor = self.agents[agent].actor.clone();
        self.write(self.now, &actor, Act::Told { socket, reason: reason.into(), reconnect_after_ms });
    }

    /// A socket is over; whoever held a session by it holds it no more.
    pub(crate) fn close(&mut self, agent: usize, socket: u64, by: Side, code: Option<u16>) {
        self.pass(1);
        let actor = self.agents[agent].actor.clone();
        self.agents[agent].open.retain(|it| it.socket != socket);
        self.write(self.now, &actor, Act::Closed { socket, by, code });
        if let Some(row) = self.rows.values_mut().find(|row| row.owner == Some((agent, socket))) {
            row.owner = None;
        }
    }

    /// Gives a session up: history, and `left`.
    pub(crate) fn release(&mut self, key: &Key, ended_at: i64) {
        if let Some(row) = self.rows.remove(key) {
            self.ended.push((row.id, key.clone(), row.started_at, ended_at.max(row.started_at + 1)));
            self.tell(Operation::Left, row.id, key);
        }
    }

    /// An attempt that nobody answered, or that was refused.
    pub(crate) fn fruitless(&mut self, agent: usize, began: i64, outcome: Outcome) {
        let (key, actor) = (self.agents[agent].key.clone(), self.agents[agent].actor.clone());
        let socket = self.agents[agent].sockets;
        self.agents[agent].sockets += 1;
        self.write(began, &actor, Act::Connect { socket, key, resume: None, outcome });
    }

    pub(crate) fn dump(&mut self) {
        let now = self.now;
        for (key, row) in self.rows.clone() {
            let Row { id: session_id, generation, replica, started_at, .. } = row;
            self.write(now, "reader", Act::Live { session_id, key, generation, replica, started_at });
        }
        for (session_id, key, started_at, ended_at) in self.ended.clone() {
            self.write(now, "reader", Act::Ended { session_id, key, started_at, ended_at });
        }
        let (live, ended) = (self.rows.len() as u64, self.ended.len() as u64);
        self.write(now, "reader", Act::Dumped { live, ended, waiting: 0 });
    }

    pub(crate) fn finish(mut self) -> Vec<Entry> {
        self.pass(60_000);
        let began = self.now;
        self.pass(2_000);
        self.write(began, "run", Act::Quiet {});
        self.dump();
        self.history
    }
}

pub(crate) fn hears(key: &Key, about: &About) -> bool {
    let agent = Some(&key.agent_id);
    about.classroom_id == key.classroom_id
        && about.sender.as_ref() != agent
        && (about.receiver.is_none() || about.receiver.as_ref() == agent)
}
