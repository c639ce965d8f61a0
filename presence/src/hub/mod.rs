//! This replica's live sockets: classroom → room → agent → (claim, mailbox).
//!
//! It knows who is to be told, never what is true: that is the store's. Entries are compared before they are removed,
//! so the late end of an old socket cannot touch a new one. Locks are short and never held across an await.

mod expected;
mod mailbox;
mod orgs;
mod room;

pub use expected::Expected;
pub use mailbox::{Command, Mailbox};
pub use orgs::{Listening, Orgs};
pub use room::{Room, Seat, Sitter, Stale};

use presence_core::{
    ids::{ClassroomId, SessionKey},
    session::Held,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The rooms that are occupied here, or were a moment ago.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: Mutex<BTreeMap<ClassroomId, Arc<Room>>>,
    on_the_way: expected::OnTheWay,
}

/// Who was there to be let go.
#[derive(Debug)]
pub enum Parting {
    /// It hears nothing more of the room; it is still to be told why.
    Seated(Arc<Mailbox>),
    /// It may be on the way to its seat, and will find it refused.
    Expected,
    Nobody,
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

    /// To be called before a session is claimed, and kept until it has its seat.
    pub fn expect(&self, key: &SessionKey) -> Expected {
        self.on_the_way.expect(key)
    }

    /// Takes away the seat of this claim, or of an older one; a later one is not touched. Those on the way are told
    /// first: whoever sits down then has either lost its seat, or sees that it must not have it.
    pub fn let_go(&self, key: &SessionKey, held: Held) -> Parting {
        let is_expected = self.on_the_way.let_go(key, held);
        let room = self.lock().get(&key.classroom_id).cloned();
        match room.and_then(|room| room.let_go(&key.agent_id, held)) {
            Some(mailbox) => Parting::Seated(mailbox),
            None if is_expected => Parting::Expected,
            None => Parting::Nobody,
        }
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
