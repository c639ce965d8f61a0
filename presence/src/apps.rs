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
        self.lock().insert(socket.sid.clone(), Entry { entered, login_time });
        Answered { present: self.clone(), sid: socket.sid.clone() }
    }

    /// All of them, and when they logged in.
    pub fn all(&self) -> BTreeMap<SocketId, (Entered, i64)> {
        let of = |entry: &Entry| (entry.entered.clone(), entry.login_time);
        self.lock().iter().map(|(sid, entry)| (sid.clone(), of(entry))).collect()
    }

    /// Whether it is still answered for.
    pub fn has(&self, sid: &SocketId) -> bool {
        self.lock().contains_key(sid)
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
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.present.lock().remove(&self.sid);
    }
}
