//! What the flows of the Socket.IO door work with: their ports, who listens to an org here, and which sockets of
//! classroom apps live here. There where the door is open.

use crate::{
    hub::Orgs,
    ports::{
        analytics::Analytics,
        lesson_state::{AppSocket, Entered, LessonState},
        lessons::Lessons,
        notices::Notices,
    },
};
use presence_core::ids::{ClassroomId, SocketId};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone)]
pub struct Apps {
    pub state: Arc<dyn LessonState>,
    pub lessons: Arc<dyn Lessons>,
    pub analytics: Arc<dyn Analytics>,
    pub notices: Arc<dyn Notices>,
    pub orgs: Orgs,
    pub present: Present,
}

/// The sockets that this process answers for in the lesson state: from before `connect` to after `end`. A connection that
/// is taken up again keeps its socket's id: then the later one answers for it.
#[derive(Debug, Clone, Default)]
pub struct Present(Arc<Mutex<Sockets>>);

#[derive(Debug, Default)]
struct Sockets {
    by_sid: BTreeMap<SocketId, Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    entered: Entered,
    login_time: i64,
    /// Which of several connections that had this id.
    number: u64,
    /// Its end is being told: it is not taken up again.
    ending: bool,
}

/// A socket that is answered for until this is dropped, or until a later connection takes it up.
#[derive(Debug)]
pub struct Answered {
    present: Present,
    sid: SocketId,
    number: u64,
}

impl Present {
    /// Answers for a socket. `None`: an earlier connection of this very socket is being ended at this moment.
    pub fn answer_for(&self, socket: &AppSocket, login_time: i64) -> Option<Answered> {
        let mut sockets = self.lock();
        if sockets.by_sid.get(&socket.sid).is_some_and(|entry| entry.ending) {
            return None;
        }
        sockets.last += 1;
        let number = sockets.last;
        let entered = Entered { socket: socket.clone(), lesson: None };
        sockets.by_sid.insert(socket.sid.clone(), Entry { entered, login_time, number, ending: false });
        Some(Answered { present: self.clone(), sid: socket.sid.clone(), number })
    }

    /// All of them, and when they logged in.
    pub fn all(&self) -> BTreeMap<SocketId, (Entered, i64)> {
        let of = |entry: &Entry| (entry.entered.clone(), entry.login_time);
        self.lock().by_sid.iter().map(|(sid, entry)| (sid.clone(), of(entry))).collect()
    }

    /// Whether it is still answered for.
    pub fn has(&self, sid: &SocketId) -> bool {
        self.lock().by_sid.contains_key(sid)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().by_sid.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().by_sid.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Sockets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    /// The socket is in a lesson now.
    pub fn enters(&self, lesson: &ClassroomId) {
        self.with(|entry| entry.entered.lesson = Some(lesson.clone()));
    }

    /// The socket ends. False: a later connection has taken it up, and it goes on.
    pub fn ends(&self) -> bool {
        self.with(|entry| entry.ending = true).is_some()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut sockets = self.present.lock();
        let entry = sockets.by_sid.get_mut(&self.sid)?;
        (entry.number == self.number).then(|| change(entry))
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let mut sockets = self.present.lock();
        if sockets.by_sid.get(&self.sid).is_some_and(|entry| entry.number == self.number) {
            sockets.by_sid.remove(&self.sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::app::Kind;

    fn socket() -> AppSocket {
        AppSocket {
            sid: "s".parse().unwrap(),
            user_id: "u".parse().unwrap(),
            org_id: "o".parse().unwrap(),
            kind: Kind::Teacher,
            role: "teacher".into(),
        }
    }

    #[test]
    fn a_socket_that_was_taken_up_again_is_answered_for_by_the_later_connection() {
        let (present, sid) = (Present::default(), socket().sid);
        let former = present.answer_for(&socket(), 1).unwrap();
        let later = present.answer_for(&socket(), 2).unwrap();
        former.enters(&"old".parse().unwrap());
        later.enters(&"math".parse().unwrap());
        assert!(!former.ends(), "it goes on");
        drop(former);
        let (entered, login_time) = present.all().remove(&sid).unwrap();
        assert_eq!((entered.lesson.unwrap().as_str(), login_time), ("math", 2));
        assert!(later.ends());
        assert!(present.answer_for(&socket(), 3).is_none(), "its end is being told");
        drop(later);
        assert!(!present.has(&sid) && present.answer_for(&socket(), 4).is_some());
    }
}
