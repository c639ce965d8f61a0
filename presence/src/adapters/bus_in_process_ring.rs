//! The memory of the bus in one process: what was published, where it stands, and what had to be forgotten. No async, no
//! lock of its own.

use crate::event::{Event, PoisonCounts, Raw};
use presence_api::event::headers;
use presence_core::ids::ClassroomId;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Ring {
    max_events: usize,
    max_bytes: usize,
    bytes: usize,
    last: u64,
    /// The highest position that was forgotten, of any classroom.
    forgotten: u64,
    /// In order of position, whatever the classroom: the oldest is forgotten first.
    order: VecDeque<Kept>,
    /// Positions by message id, of what is kept.
    ids: HashMap<Arc<str>, u64>,
    rooms: HashMap<ClassroomId, Room>,
    pub(super) poison: PoisonCounts,
}

/// What is to be forgotten together.
#[derive(Debug)]
struct Kept {
    seq: u64,
    id: Option<Arc<str>>,
    /// None: it was no event, and only its id and position are remembered.
    classroom: Option<ClassroomId>,
    bytes: usize,
}

/// Exists while it has an event or a listener.
#[derive(Debug)]
struct Room {
    events: VecDeque<Arc<Event>>,
    /// Nothing at or below this position can be proved about the classroom.
    floor: u64,
    bell: watch::Sender<u64>,
}

pub(super) struct Message<'a> {
    pub(super) subject: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

pub(super) enum Caught {
    Events(Vec<Arc<Event>>),
    Gap { position: u64 },
}

impl Room {
    fn new(floor: u64) -> Self {
        Self { events: VecDeque::new(), floor, bell: watch::Sender::new(0) }
    }
}

impl Ring {
    pub(super) fn new(first: u64, max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events: max_events.max(1),
            max_bytes,
            bytes: 0,
            last: first,
            forgotten: first,
            order: VecDeque::new(),
            ids: HashMap::new(),
            rooms: HashMap::new(),
            poison: PoisonCounts::default(),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn floor(&self, classroom: &ClassroomId) -> u64 {
        self.rooms.get(classroom).map_or(self.forgotten, |room| room.floor)
    }

    /// Returns where it stands; for a message id that is remembered, where it stood.
    pub(super) fn publish(&mut self, message: &Message<'_>) -> u64 {
        let header = |name: &str| message.headers.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        let id = header(headers::MSG_ID);
        if let Some(seq) = id.and_then(|id| self.ids.get(id)) {
            return *seq;
        }
        self.last += 1;
        let seq = self.last;
        let raw = Raw { subject: message.subject, seq, body: message.body, header: &header };
        let id: Option<Arc<str>> = id.map(Into::into);
        let event = Event::decode(&raw).map_err(|poison| self.poison.count(poison)).ok();
        let bytes = message.body.len() + event.as_ref().map_or(0, |event| event.frame.len());
        self.bytes += bytes;
        if let Some(id) = &id {
            self.ids.insert(id.clone(), seq);
        }
        let classroom = event.as_ref().map(|event| event.classroom_id.clone());
        self.order.push_back(Kept { seq, id, classroom, bytes });
        if let Some(event) = event {
            let floor = self.forgotten;
            let room = self.rooms.entry(event.classroom_id.clone());
            let room = room.or_insert_with(|| Room::new(floor));
            room.events.push_back(Arc::new(event));
            room.bell.send_replace(seq);
        }
        while self.order.len() > self.max_events || self.bytes > self.max_bytes {
            self.forget_oldest();
        }
        seq
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            // Nothing is kept, so nothing takes room.
            self.bytes = 0;
            return;
        };
        self.forgotten = oldest.seq;
        self.bytes -= oldest.bytes;
        if let Some(id) = oldest.id {
            self.ids.remove(&id);
        }
        if let Some(classroom) = oldest.classroom {
            if let Some(room) = self.rooms.get_mut(&classroom) {
                room.events.pop_front();
                room.floor = oldest.seq;
            }
            self.tidy(&classroom);
        }
    }

    /// Forgets a classroom that has neither events nor listeners.
    pub(super) fn tidy(&mut self, classroom: &ClassroomId) {
        let is_idle = |room: &Room| room.events.is_empty() && room.bell.receiver_count() == 0;
        if self.rooms.get(classroom).is_some_and(is_idle) {
            self.rooms.remove(classroom);
        }
    }

    pub(super) fn listen(&mut self, classroom: &ClassroomId) -> (u64, Option<watch::Receiver<u64>>) {
        let floor = self.forgotten;
        let room = self.rooms.entry(classroom.clone());
        let room = room.or_insert_with(|| Room::new(floor));
        (self.last, Some(room.bell.subscribe()))
    }

    /// The classroom's events after a position, oldest first.
    pub(super) fn after(&self, classroom: &ClassroomId, position: u64, limit: usize) -> Vec<Arc<Event>> {
        let Some(room) = self.rooms.get(classroom) else {
            return vec![];
        };
        let start = room.events.partition_point(|event| event.seq <= position);
        room.events.range(start..).take(limit).cloned().collect()
    }

    /// What a listener at this position gets next. Where something was forgotten before it came, a gap.
    pub(super) fn catch_up(&self, classroom: &ClassroomId, position: u64, limit: usize) -> Caught {
        // A listener keeps its classroom, so the floor is the classroom's own and not somebody else's traffic.
        let floor = self.floor(classroom);
        if position < floor {
            return Caught::Gap { position: floor };
        }
        Caught::Events(self.after(classroom, position, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(ring: &mut Ring, classroom: &str, id: u32) -> u64 {
        let id = id.to_string();
        ring.publish(&Message {
            subject: &format!("classroom.{classroom}.chat"),
            headers: &[(headers::MSG_ID, &id)],
            body: br#"{"id":{"entity_type":"chat","operation":"said","sequence_id":1},"payload":{}}"#,
        })
    }

    #[test]
    fn memory_is_bounded_and_leaves_nothing_behind() {
        let mut ring = Ring::new(100, 10, usize::MAX);
        for n in 0..1000 {
            publish(&mut ring, &format!("room-{n}"), n);
        }
        assert_eq!((ring.order.len(), ring.ids.len(), ring.rooms.len()), (10, 10, 10));
        ring.max_bytes = 0;
        publish(&mut ring, "last", 1000);
        assert_eq!((ring.order.len(), ring.ids.len(), ring.rooms.len(), ring.bytes), (0, 0, 0, 0));
        assert_eq!(ring.forgotten, 1101);
    }

    #[test]
    fn a_quiet_classrooms_listener_misses_nothing_by_others_traffic() {
        let mut ring = Ring::new(0, 10, usize::MAX);
        let quiet: ClassroomId = "quiet".parse().unwrap();
        let (position, bell) = ring.listen(&quiet);
        for n in 0..100 {
            publish(&mut ring, "busy", n);
        }
        assert!(matches!(ring.catch_up(&quiet, position, 10), Caught::Events(events) if events.is_empty()));
        publish(&mut ring, "quiet", 100);
        assert!(matches!(ring.catch_up(&quiet, position, 10), Caught::Events(events) if events.len() == 1));
        drop(bell);
        ring.tidy(&quiet);
        assert!(ring.rooms.contains_key(&quiet), "it still has an event");
    }
}
