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

/// The sockets that this process answers for in the lesson state: from before `connect` to after `end`.
#[derive(Debug, Clone, Default)]
pub struct Present(Arc<Mutex<BTreeMap<SocketId, Entry>>>);

#[derive(Debug)]
struct Entry {
    entered: Entered,
    login_time: i64,
    /// It is over, and the lesson state could not be told.
    unfinished: bool,
}

/// A socket that is answered for until this is dropped.
#[derive(Debug)]
pub struct Answered {
    present: Present,
    sid: SocketId,
}

impl Present {
    pub fn answer_for(&self, socket: &AppSocket, login_time: i64) -> Answered {
        let entered = Entered { socket: socket.clone(), lesson: None };
        self.lock().insert(socket.sid.clone(), Entry { entered, login_time, unfinished: false });
        Answered { present: self.clone(), sid: socket.sid.clone() }
    }

    /// All of them that are not over, and when they logged in.
    pub fn all(&self) -> BTreeMap<SocketId, (Entered, i64)> {
        let entries = self.lock();
        let live = entries.iter().filter(|(_, entry)| !entry.unfinished);
        live.map(|(sid, entry)| (sid.clone(), (entry.entered.clone(), entry.login_time))).collect()
    }

    /// Those whose end the lesson state is still to be told.
    pub fn unfinished(&self) -> Vec<Entered> {
        let entries = self.lock();
        entries.values().filter(|entry| entry.unfinished).map(|entry| entry.entered.clone()).collect()
    }

    /// It was told.
    pub fn finish(&self, sid: &SocketId) {
        let mut entries = self.lock();
        if entries.get(sid).is_some_and(|entry| entry.unfinished) {
            entries.remove(sid);
        }
    }

    /// Whether it is still answered for.
    pub fn has(&self, sid: &SocketId) -> bool {
        self.lock().get(sid).is_some_and(|entry| !entry.unfinished)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    /// The socket is in a lesson now.
    pub fn enters(&self, lesson: &ClassroomId) {
        if let Some(entry) = self.present.lock().get_mut(&self.sid) {
            entry.entered.lesson = Some(lesson.clone());
        }
    }

    /// The socket is over, and the lesson state could not be told: it is left to `lifecycle/lessons`. Without a lesson state
    /// nobody comes in, so there are no more of these than there were sockets when it went away.
    pub fn leave_unfinished(self) {
        if let Some(entry) = self.present.lock().get_mut(&self.sid) {
            entry.unfinished = true;
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let mut entries = self.present.lock();
        if entries.get(&self.sid).is_some_and(|entry| !entry.unfinished) {
            entries.remove(&self.sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::app::Kind;

    #[test]
    fn a_socket_whose_end_could_not_be_told_is_over_and_not_forgotten() {
        let present = Present::default();
        let socket = |sid: &str| AppSocket {
            sid: sid.parse().unwrap(),
            user_id: "ann".parse().unwrap(),
            org_id: "o".parse().unwrap(),
            kind: Kind::Teacher,
            role: "teacher".into(),
        };
        let (told, untold) = (present.answer_for(&socket("a"), 1), present.answer_for(&socket("b"), 1));
        drop(told);
        present.finish(&socket("b").sid);
        assert_eq!(present.all().len(), 1, "one that lives is not finished");
        untold.leave_unfinished();
        assert!(present.all().is_empty() && !present.has(&socket("b").sid));
        assert_eq!(present.unfinished(), [Entered { socket: socket("b"), lesson: None }]);
        present.finish(&socket("b").sid);
        assert!(present.unfinished().is_empty() && present.is_empty());
    }
}
