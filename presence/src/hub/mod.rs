//! This replica's live sockets: classroom → room → agent → (generation, mailbox).
//!
//! It knows who is to be told, never what is true: that is the store's. Entries are compared before they are removed,
//! so the late end of an old socket cannot touch a new one. Locks are short and never held across an await.

mod mailbox;
mod room;

pub use mailbox::{Command, Mailbox};
pub use room::{Room, Seat, Sitter, Stale};

use presence_core::ids::{ClassroomId, SessionKey};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The rooms that are occupied here, or were a moment ago.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: Mutex<BTreeMap<ClassroomId, Arc<Room>>>,
}

impl Hub {
    /// The classroom's room; a new one where there is none.
    pub fn room(&self, classroom: &ClassroomId) -> Arc<Room> {
        let mut rooms = self.lock();
        if let Some(room) = rooms.get(classroom) {
            return room.clone();
        }
        let room = Arc::new(Room::new(classroom.clone()));
        rooms.insert(classroom.clone(), room.clone());
        room
    }

    /// Forgets a room that nobody is in. Whoever still holds it and enters is sent to a new one.
    pub fn retire(&self, room: &Arc<Room>) -> bool {
        let mut rooms = self.lock();
        let retired = room.close_if_empty();
        if retired && rooms.get(room.classroom()).is_some_and(|held| Arc::ptr_eq(held, room)) {
            rooms.remove(room.classroom());
        }
        retired
    }

    /// The mailbox of a session that is live here.
    pub fn find(&self, key: &SessionKey) -> Option<Arc<Mailbox>> {
        let room = self.lock().get(&key.classroom_id).cloned()?;
        room.mailbox(&key.agent_id)
    }

    /// How many sockets have a seat here.
    pub fn seated(&self) -> usize {
        let rooms: Vec<_> = self.lock().values().cloned().collect();
        rooms.iter().map(|room| room.seated()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClassroomId, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
