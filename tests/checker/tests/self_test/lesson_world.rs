//! A lesson state that is kept as section 5 of `docs/PROTOCOL.md` says, and the history of those who use it. It knows the
//! contract, not the checker.

use crate::{chance::Chance, model::SECOND};
use presence_api::history::{Act, Entry, Key, Outcome, Side};
use std::collections::BTreeMap;

pub(crate) type Fields = BTreeMap<String, String>;

const ORG: &str = "o1";
pub(crate) const DAY: i64 = 24 * 60 * 60;
pub(crate) const HOUR: i64 = 60 * 60;
/// Each kind of client, and whether it joins.
const PEOPLE: [(&str, &str); 8] = [
    ("teacher", "tom"),
    ("teacher", "tess"),
    ("student", "ann"),
    ("student", "ben"),
    ("student", "cy"),
    ("manager", "max"),
    ("manager", "mia"),
    ("teacher_hub", "hal"),
];

#[derive(Debug, Clone)]
struct Open {
    socket: u64,
    sid: String,
    replica: usize,
    lesson: Option<Key>,
}

/// A lesson state that is kept as it is to be, and the history of those who use it.
pub(crate) struct World {
    chance: Chance,
    now: i64,
    history: Vec<Entry>,
    open: Vec<Option<Open>>,
    keys: BTreeMap<String, (Fields, Option<i64>)>,
    live: BTreeMap<Key, i64>,
    drawn: u64,
}

fn fields(of: &[(&str, &str)]) -> Fields {
    of.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(crate) fn alive(user: &str) -> String {
    format!("alive:org_{ORG}_user_{user}")
}

impl World {
    fn new(seed: u64) -> Self {
        let open = PEOPLE.iter().map(|_| None).collect();
        let (keys, live) = (BTreeMap::new(), BTreeMap::new());
        Self { chance: Chance::new(seed), now: SECOND, history: vec![], open, keys, live, drawn: 0 }
    }

    fn write(&mut self, actor: &str, act: Act) {
        self.now += 1_000;
        self.history.push(Entry { began: self.now, at: self.now, actor: actor.to_owned(), act });
    }

    fn set(&mut self, key: &str, more: Fields, expires: Option<i64>) {
        let (fields, expiry) = self.keys.entry(key.to_owned()).or_default();
        fields.extend(more);
        *expiry = expires;
    }

    fn held(replica: usize) -> String {
        format!("presence:sockets:{replica}")
    }

    fn connect(&mut self, who: usize) {
        let (kind, user) = PEOPLE[who];
        self.leave(who);
        self.drawn += 1;
        let (socket, sid, replica) = (self.drawn, format!("sid{}", self.drawn), self.chance.below(3));
        let key = fields(&[("sid", &sid), ("client_id", user), ("role", kind), ("org_id", ORG)]);
        match kind {
            "teacher" => {
                self.set(&alive(user), fields(&[("login_time", "17"), ("state", "connect")]), None);
                self.set(user, key, None);
            }
            "student" => self.set(user, key, None),
            "manager" => self.set(&format!("manager:org_{ORG}_user_{user}"), key, None),
            _ => {}
        }
        self.set(&Self::held(replica), fields(&[(&sid, "{}")]), None);
        let (user_id, org_id, kind) = (user.to_owned(), ORG.to_owned(), kind.to_owned());
        self.write(user, Act::Admitted { socket, user_id, org_id, kind, sid: sid.clone() });
        self.open[who] = Some(Open { socket, sid, replica, lesson: None });
    }

    fn join(&mut self, who: usize, lesson: usize) {
        let (kind, user) = PEOPLE[who];
        let Some(open) = self.open[who].clone().filter(|open| open.lesson.is_none()) else { return };
        let lesson = format!("lesson{lesson}");
        let key = Key { agent_id: format!("app.{user}.example"), classroom_id: lesson.clone() };
        self.drawn += 1;
        let session_id = self.drawn.cast_signed();
        self.live.insert(key.clone(), session_id);
        self.set(&format!("lesson_{kind}_{lesson}"), fields(&[(user, &open.sid)]), Some(DAY));
        let seats: Fields = (1..=5).map(|seat| (seat.to_string(), String::new())).collect();
        self.set(&format!("lesson_seat_{lesson}"), seats, None);
        self.set(user, fields(&[("lesson_id", &lesson)]), None);
        let outcome =
            Outcome::Entered { session_id, seq: 0, resumed: false, replica: String::new(), agents_total: 1 };
        self.write(user, Act::Connect { socket: open.socket, key: key.clone(), resume: None, outcome });
        self.open[who] = Some(Open { lesson: Some(key), ..open });
    }

    fn leave(&mut self, who: usize) {
        let (kind, user) = PEOPLE[who];
        let Some(open) = self.open[who].take() else { return };
        if let Some(key) = open.lesson {
            if let Some((members, _)) = self.keys.get_mut(&format!("lesson_{kind}_{}", key.classroom_id)) {
                members.remove(user);
            }
            self.live.remove(&key);
        }
        if kind == "teacher" {
            self.set(&alive(user), fields(&[("state", "disconnect")]), Some(HOUR));
        }
        if let Some((held, _)) = self.keys.get_mut(&Self::held(open.replica)) {
            held.remove(&open.sid);
        }
        // Redis keeps no hash without fields.
        self.keys.retain(|_, (fields, _)| !fields.is_empty());
        self.write(user, Act::Closed { socket: open.socket, by: Side::Client, code: None });
    }

    pub(crate) fn run(seed: u64) -> Vec<Entry> {
        let mut world = Self::new(seed);
        for _ in 0..60 {
            let who = world.chance.below(PEOPLE.len());
            match world.chance.below(4) {
                0 => world.connect(who),
                3 => world.leave(who),
                _ if matches!(PEOPLE[who].0, "teacher" | "student") => {
                    let lesson = world.chance.below(2);
                    world.join(who, lesson);
                }
                _ => {}
            }
        }
        // Of each kind somebody stays, and a teacher has gone.
        for who in [0, 1, 2, 3, 5, 7] {
            world.connect(who);
        }
        for who in [0, 2, 3] {
            world.join(who, 0);
        }
        world.leave(1);
        world.finish()
    }

    fn finish(mut self) -> Vec<Entry> {
        self.now += 60 * SECOND;
        self.write("run", Act::Quiet {});
        for (key, session_id) in self.live.clone() {
            let replica = "r0".to_owned();
            self.write("reader", Act::Live { session_id, key, generation: 1, replica, started_at: self.now });
        }
        self.write("reader", Act::Dumped { live: self.live.len() as u64, ended: 0, waiting: 0 });
        for (name, (fields, expires_in)) in self.keys.clone() {
            self.write("reader", Act::Kept { name, fields, expires_in });
        }
        self.write("reader", Act::KeptAll { keys: self.keys.len() as u64 });
        self.history
    }
}
