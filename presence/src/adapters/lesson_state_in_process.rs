//! The lesson state inside one process, for a single replica without Redis and for tests: the same steps on keys of the same
//! names, which nobody else reads. It is bounded, and forgets on exit.

#[path = "lesson_state_in_process_table.rs"]
mod table;

use super::lesson_keys::Keys;
use crate::ports::{
    Fault,
    clock::Clock,
    lesson_state::{
        ALIVE_TTL, AppSocket, ENDED_TTL, Ended, Entered, Entry, Known, LESSON_TTL, LessonState, Recovery,
    },
};
use async_trait::async_trait;
use presence_core::{
    app::Kind,
    ids::{ClassroomId, OrgId, RecoveryId, ReplicaId, SocketId, UserId},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use table::Table;

/// Keys that are kept, at most. Then those that were written to longest ago go.
const MOST_KEYS: usize = 64 * 1024;

#[derive(Debug)]
pub struct InProcessLessonState {
    keys: Keys,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table,
    sockets: BTreeMap<ReplicaId, BTreeMap<SocketId, Entered>>,
    /// Of a user, by the name that Redis has for them, and when each logged in. Both of these are as many as there are
    /// sockets.
    of_users: HashMap<String, BTreeMap<SocketId, i64>>,
}

impl InProcessLessonState {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let table = Table::new(MOST_KEYS);
        let state = State { table, sockets: BTreeMap::new(), of_users: HashMap::new() };
        Self { keys: Keys::default(), clock, state: Mutex::new(state) }
    }

    /// As a Redis client reads it: the fields, and how long they stay. For tests.
    pub fn hash(&self, key: &str) -> Option<(BTreeMap<String, String>, Option<Duration>)> {
        self.lock().table.hash(key)
    }

    /// The same of a string.
    pub fn text(&self, key: &str) -> Option<String> {
        self.lock().table.text(key)
    }

    /// Nothing panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.table.set_now(self.clock.now());
        state
    }

    /// All that there are. For tests.
    pub fn names(&self) -> Vec<String> {
        self.lock().table.names()
    }

    /// Loses everything, as a Redis that is flushed. For tests.
    pub fn flush(&self) {
        let mut state = self.lock();
        *state = State { table: Table::new(MOST_KEYS), sockets: BTreeMap::new(), of_users: HashMap::new() };
    }

    /// Who is in a lesson, and whose sockets those are.
    fn lesson(&self, kind: Kind, lesson: &ClassroomId) -> Option<(String, String)> {
        self.keys.members(kind, lesson).zip(self.keys.owners(kind, lesson))
    }

    fn alive(&self, socket: &AppSocket) -> Option<String> {
        (socket.kind == Kind::Teacher).then(|| self.keys.alive(&socket.org_id, &socket.user_id))
    }
}

impl State {
    fn enter(&mut self, replica: ReplicaId, entered: &Entered, (of, login_time): (String, i64)) {
        let sid = &entered.socket.sid;
        self.sockets.entry(replica).or_default().insert(sid.clone(), entered.clone());
        self.of_users.entry(of).or_default().insert(sid.clone(), login_time);
    }

    fn entry(&self, replica: ReplicaId, sid: &SocketId) -> Option<Entered> {
        self.sockets.get(&replica)?.get(sid).cloned()
    }

    /// Returns what it was in, if it was there.
    fn forget(&mut self, replica: ReplicaId, sid: &SocketId) -> Option<Entered> {
        let sockets = self.sockets.get_mut(&replica)?;
        let entered = sockets.remove(sid);
        if sockets.is_empty() {
            self.sockets.remove(&replica);
        }
        entered
    }

    /// Returns whether the user has none left.
    fn forget_of_user(&mut self, of: &str, sid: &SocketId) -> bool {
        let Some(sockets) = self.of_users.get_mut(of) else { return true };
        sockets.remove(sid);
        let none_left = sockets.is_empty();
        if none_left {
            self.of_users.remove(of);
        }
        none_left
    }

    fn make_seats(&mut self, key: &str, count: u16) {
        if !self.table.exists(key) {
            let seats = (1..=count).map(|seat| (seat.to_string(), String::new()));
            self.table.write(key, seats);
        }
    }

    fn known(&self, key: &str) -> Known {
        let lesson = self.table.field(key, "lesson_id").and_then(|lesson| lesson.parse().ok());
        Known { before: self.table.exists(key), lesson }
    }

    /// Of a user's sockets the one that logged in last, as others see it.
    fn latest(&self, of: &str) -> Option<SocketId> {
        let sockets = self.of_users.get(of)?.iter();
        sockets.max_by_key(|(sid, at)| (**at, sid.as_str())).map(|(sid, _)| sid.shown())
    }

    /// Of a user's sockets, those that are meant: whether all came earlier; `None`: there are none.
    fn are_earlier(&self, of: &str, login_time: i64, meant: impl Fn(&SocketId) -> bool) -> Option<bool> {
        let sockets = self.of_users.get(of).into_iter().flatten();
        let mut meant = sockets.filter(|(sid, _)| meant(sid)).map(|(_, at)| *at < login_time).peekable();
        meant.peek().is_some().then(|| meant.all(|earlier| earlier))
    }

    /// Whether a user's key is to name this socket: it names none, one that is gone, or one that came before it.
    fn is_latest(&self, (user, keys): (&str, &Keys), of: &str, (sid, login_time): (&SocketId, i64)) -> bool {
        let Some(now) = self.table.field(user, "sid") else { return true };
        now == sid.shown().as_str()
            || self.table.exists(&keys.gone(now))
            || self.are_earlier(of, login_time, |other| other.shown().as_str() == now) == Some(true)
    }

    /// Whether a lesson's entry is another socket's, which came no earlier.
    fn is_theirs(&self, owner: Option<&str>, of: &str, (sid, login_time): (&SocketId, i64)) -> bool {
        owner.filter(|owner| *owner != sid.as_str()).is_some_and(|owner| {
            self.are_earlier(of, login_time, |other| other.as_str() == owner) == Some(false)
        })
    }

    fn enter_lesson(&mut self, (members, owners): (&str, &str), socket: &AppSocket) {
        let user = socket.user_id.as_str();
        self.table.write(members, [(user, socket.sid.shown().as_str())]);
        self.table.write(owners, [(user, socket.sid.as_str())]);
    }
}

fn identity(socket: &AppSocket) -> [(&'static str, String); 4] {
    let AppSocket { sid, user_id, org_id, role, .. } = socket;
    let sid = sid.shown().to_string();
    [("sid", sid), ("client_id", user_id.to_string()), ("role", role.clone()), ("org_id", org_id.to_string())]
}

impl InProcessLessonState {
    /// The lesson of a socket that joined after its entry was lost.
    fn joined_when_lost(&self, state: &State, socket: &AppSocket) -> Option<ClassroomId> {
        let lesson: ClassroomId = state.table.field(&self.keys.user(socket)?, "lesson_id")?.parse().ok()?;
        let (_, owners) = self.lesson(socket.kind, &lesson)?;
        let owner = state.table.field(&owners, socket.user_id.as_str());
        (owner == Some(socket.sid.as_str())).then_some(lesson)
    }
}

#[async_trait]
impl LessonState for InProcessLessonState {
    async fn connect(&self, replica: ReplicaId, socket: &AppSocket, login_time: i64) -> Result<Known, Fault> {
        let mut state = self.lock();
        if state.table.exists(&self.keys.ended(&socket.sid)) {
            return Ok(Known::default());
        }
        let entered = Entered { socket: socket.clone(), lesson: None };
        state.enter(replica, &entered, (self.keys.sockets_of(socket), login_time));
        state.table.remove(&self.keys.gone(socket.sid.shown().as_str()));
        let mut known = Known::default();
        if let Some(user) = self.keys.user(socket) {
            known = state.known(&user);
            known.before &= state.table.field(&user, "sid") != Some(socket.sid.shown().as_str());
            state.table.write(&user, identity(socket));
            state.table.keep(&user);
        }
        if let Some(alive) = self.alive(socket) {
            let fields = [("login_time", login_time.to_string()), ("state", "connect".to_owned())];
            state.table.write(&alive, fields);
            state.table.keep(&alive);
        }
        Ok(known)
    }

    async fn join(&self, replica: ReplicaId, socket: &AppSocket, entry: &Entry) -> Result<Known, Fault> {
        let names = self.lesson(socket.kind, &entry.lesson).zip(self.keys.user(socket));
        let Some(((members, owners), user)) = names else {
            return Err(Fault::failed("the lesson state", format!("a {} joins no lesson", socket.kind)));
        };
        let mut state = self.lock();
        if state.table.exists(&self.keys.ended(&socket.sid)) {
            return Ok(Known::default());
        }
        if let Some(entered) =
            state.sockets.get_mut(&replica).and_then(|sockets| sockets.get_mut(&socket.sid))
        {
            entered.lesson = Some(entry.lesson.clone());
        }
        state.make_seats(&self.keys.seats(&entry.lesson), entry.seats);
        state.enter_lesson((&members, &owners), socket);
        state.table.expire(&members, LESSON_TTL);
        state.table.expire(&owners, LESSON_TTL);
        let known = state.known(&user);
        let is_named = state.table.field(&user, "sid").is_some();
        state.table.write(&user, [("lesson_id", entry.lesson.as_str())]);
        if entry.by_token {
            state.table.write(&user, identity(socket).into_iter().take(3));
            state.table.expire(&user, LESSON_TTL);
        } else if !is_named {
            state.table.write(&user, identity(socket));
        }
        if let Some((pid, recovery)) = &entry.recovery {
            let text =
                serde_json::to_string(recovery).map_err(|error| Fault::failed("the lesson state", error))?;
            state.table.set(&self.keys.recovery(pid), text);
            state.table.expire(&self.keys.recovery(pid), LESSON_TTL);
        }
        Ok(known)
    }

    async fn end(
        &self,
        replica: ReplicaId,
        socket: &AppSocket,
        left: Option<&RecoveryId>,
    ) -> Result<Option<Ended>, Fault> {
        let mut state = self.lock();
        let of = self.keys.sockets_of(socket);
        let takes_up = |other: &SocketId| *other != socket.sid && other.shown() == socket.sid.shown();
        if let Some(pid) = left.filter(|_| state.are_earlier(&of, 0, takes_up).is_none()) {
            state.table.remove(&self.keys.recovery(pid));
        }
        let (ended, sid) = (self.keys.ended(&socket.sid), &socket.sid);
        let entered = state.forget(replica, sid);
        if entered.is_none() && state.table.exists(&ended) {
            return Ok(None);
        }
        state.table.set(&ended, "1".to_owned());
        state.table.expire(&ended, ENDED_TTL);
        let was_latest = state.forget_of_user(&of, sid);
        let lesson = match entered {
            Some(entered) => entered.lesson,
            None => self.joined_when_lost(&state, socket),
        };
        if let Some((members, owners)) = lesson.as_ref().and_then(|lesson| self.lesson(socket.kind, lesson))
            && state.table.field(&owners, socket.user_id.as_str()) == Some(sid.as_str())
        {
            state.table.remove_field(&members, socket.user_id.as_str());
            state.table.remove_field(&owners, socket.user_id.as_str());
        }
        if let Some(user) = self.keys.user(socket)
            && state.table.field(&user, "sid") == Some(sid.shown().as_str())
        {
            if let Some(latest) = state.latest(&of) {
                state.table.write(&user, [("sid", latest.as_str())]);
            } else {
                let gone = self.keys.gone(sid.shown().as_str());
                state.table.set(&gone, "1".to_owned());
                state.table.expire(&gone, ENDED_TTL);
            }
        }
        if let Some(alive) = self.alive(socket).filter(|alive| was_latest && state.table.exists(alive)) {
            state.table.write(&alive, [("state", "disconnect")]);
            state.table.expire(&alive, ALIVE_TTL);
        }
        Ok(Some(Ended { lesson, was_latest }))
    }

    async fn log_out(&self, org: &OrgId, user: &UserId) -> Result<(), Fault> {
        self.lock().table.remove(&self.keys.alive(org, user));
        Ok(())
    }

    async fn restore(
        &self,
        replica: ReplicaId,
        entered: &Entered,
        login_time: i64,
        seats: u16,
    ) -> Result<bool, Fault> {
        let Entered { socket, lesson } = entered;
        let (mut state, of) = (self.lock(), self.keys.sockets_of(socket));
        if state.table.exists(&self.keys.ended(&socket.sid)) {
            return Ok(false);
        }
        let names = lesson.as_ref().and_then(|lesson| self.lesson(socket.kind, lesson));
        let is_theirs = names.as_ref().is_some_and(|(_, owners)| {
            let owner = state.table.field(owners, socket.user_id.as_str());
            state.is_theirs(owner, &of, (&socket.sid, login_time))
        });
        let alone = Entered { socket: socket.clone(), lesson: None };
        let entered =
            if is_theirs { state.entry(replica, &socket.sid).unwrap_or(alone) } else { entered.clone() };
        state.enter(replica, &entered, (of.clone(), login_time));
        state.table.remove(&self.keys.gone(socket.sid.shown().as_str()));
        if let Some(user) = self.keys.user(socket) {
            let is_latest = state.is_latest((&user, &self.keys), &of, (&socket.sid, login_time));
            if is_latest {
                state.table.write(&user, identity(socket));
            }
            let is_missing = is_latest || state.table.field(&user, "lesson_id").is_none();
            if let Some(lesson) = lesson.as_ref().filter(|_| is_missing) {
                state.table.write(&user, [("lesson_id", lesson.as_str())]);
            }
        }
        if let Some(alive) = self.alive(socket) {
            let at = state.table.field(&alive, "login_time").and_then(|at| at.parse().ok()).unwrap_or(0);
            if state.table.field(&alive, "state") != Some("connect") || at < login_time {
                let fields = [("login_time", login_time.to_string()), ("state", "connect".to_owned())];
                state.table.write(&alive, fields);
            }
            state.table.keep(&alive);
        }
        let Some(lesson) = lesson else { return Ok(true) };
        if let Some((members, owners)) = names {
            if !is_theirs {
                state.enter_lesson((&members, &owners), socket);
            }
            for key in [members, owners] {
                if !state.table.expires(&key) {
                    state.table.expire(&key, LESSON_TTL);
                }
            }
            state.make_seats(&self.keys.seats(lesson), seats);
        }
        Ok(true)
    }

    async fn recovery(&self, pid: &RecoveryId) -> Result<Option<Recovery>, Fault> {
        let text = self.lock().table.text(&self.keys.recovery(pid));
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| Fault::failed("the lesson state", error))
    }

    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault> {
        Ok(self.lock().table.text(&self.keys.room(lesson)))
    }

    async fn set_room(&self, lesson: &ClassroomId, room: &str) -> Result<(), Fault> {
        self.lock().table.set(&self.keys.room(lesson), room.to_owned());
        Ok(())
    }

    async fn entered(&self, replica: ReplicaId) -> Result<Vec<Entered>, Fault> {
        let state = self.lock();
        Ok(state.sockets.get(&replica).into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    async fn replicas(&self) -> Result<Vec<ReplicaId>, Fault> {
        Ok(self.lock().sockets.keys().copied().collect())
    }

    fn is_up(&self) -> bool {
        true
    }
}
