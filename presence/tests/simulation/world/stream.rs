//! The bus's one stream: what was published, in order, once per message id, until it is forgotten or the stream is made
//! anew. It is also its own witness: whatever it takes goes into the history.

use super::{World, lock};
use presence::event::{Event, Raw};
use presence_api::{
    event::{AgentPayload, ENTITY, headers},
    history::{About, Act},
};
use presence_core::ids::ClassroomId;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, futures::Notified};

/// Where positions begin.
const FIRST: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Stream {
    kept: Mutex<Kept>,
    /// Rings when there is something new.
    bell: Notify,
}

#[derive(Debug)]
struct Kept {
    events: BTreeMap<ClassroomId, BTreeMap<u64, Arc<Event>>>,
    /// In order of position, whatever the classroom.
    order: VecDeque<(u64, ClassroomId)>,
    /// Message ids outlive what they named, as a duplicate window does. A stream made anew keeps them too: that it would
    /// take an old event twice is seen with a real one.
    ids: BTreeMap<String, u64>,
    last: u64,
    /// Nothing at or below it is of this stream.
    floor: u64,
    /// Of each classroom, the highest position that was forgotten.
    forgotten: BTreeMap<ClassroomId, u64>,
}

/// What a message is, before anybody understands it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a str,
    pub(crate) id: &'a str,
    pub(crate) headers: &'a [(&'a str, String)],
    pub(crate) body: &'a [u8],
}

/// What a reader at some position gets next.
#[derive(Debug)]
pub(crate) enum Next {
    Event(Arc<Event>),
    /// Something was forgotten before it came.
    Gap(u64),
    Nothing,
}

impl Stream {
    pub(crate) fn new() -> Self {
        let kept = Kept {
            events: BTreeMap::new(),
            order: VecDeque::new(),
            ids: BTreeMap::new(),
            last: FIRST,
            floor: FIRST,
            forgotten: BTreeMap::new(),
        };
        Self { kept: Mutex::new(kept), bell: Notify::new() }
    }

    pub(crate) fn last(&self) -> u64 {
        lock(&self.kept).last
    }

    /// Rings at whatever comes after this. (A `watch` wakes its receivers in an order of its own chance.)
    pub(crate) fn listen(&self) -> Notified<'_> {
        self.bell.notified()
    }

    /// Returns where it stands; of a message that was published before, where it stood.
    pub(crate) fn publish(&self, world: &World, message: &Message<'_>) -> u64 {
        let mut kept = lock(&self.kept);
        if let Some(position) = kept.ids.get(message.id) {
            return *position;
        }
        kept.last += 1;
        let seq = kept.last;
        kept.ids.insert(message.id.to_owned(), seq);
        let header = |name: &str| {
            message.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
        };
        let raw = Raw { subject: message.subject, seq, body: message.body, header: &header };
        let event = Arc::new(Event::decode(&raw).expect("the world publishes nothing but events"));
        kept.order.push_back((seq, event.classroom_id.clone()));
        kept.events.entry(event.classroom_id.clone()).or_default().insert(seq, event.clone());
        drop(kept);
        if !event.internal {
            world.write(world.now(), "witness", published(&event));
        }
        self.bell.notify_waiters();
        seq
    }

    /// The oldest events are forgotten, up to this many are kept.
    pub(crate) fn forget_all_but(&self, most: usize) {
        let mut kept = lock(&self.kept);
        while kept.order.len() > most {
            let Some((seq, classroom)) = kept.order.pop_front() else { break };
            if let Some(events) = kept.events.get_mut(&classroom) {
                events.remove(&seq);
            }
            kept.forgotten.insert(classroom, seq);
        }
        drop(kept);
        self.bell.notify_waiters();
    }

    /// The stream is made anew: what it held is gone, its positions lie above all former ones.
    pub(crate) fn wipe(&self) {
        let mut kept = lock(&self.kept);
        kept.events.clear();
        kept.order.clear();
        kept.last += 1_000;
        kept.floor = kept.last;
        drop(kept);
        self.bell.notify_waiters();
    }

    pub(crate) fn next(&self, classroom: &ClassroomId, after: u64) -> Next {
        let kept = lock(&self.kept);
        if after < kept.floor_of(classroom) {
            return Next::Gap(kept.last);
        }
        match kept.after(classroom, after).next() {
            Some(event) => Next::Event(event.clone()),
            None => Next::Nothing,
        }
    }

    /// The classroom's events in `(after, up_to]`, if that can be proved.
    pub(crate) fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Option<Vec<Arc<Event>>> {
        let kept = lock(&self.kept);
        if up_to > kept.last || after < kept.floor_of(classroom) {
            return None;
        }
        Some(kept.after(classroom, after).take_while(|event| event.seq <= up_to).cloned().collect())
    }
}

impl Kept {
    fn after(&self, classroom: &ClassroomId, position: u64) -> impl Iterator<Item = &Arc<Event>> {
        let events = self.events.get(classroom);
        events.into_iter().flat_map(move |events| events.range(position + 1..)).map(|(_, event)| event)
    }

    fn floor_of(&self, classroom: &ClassroomId) -> u64 {
        self.forgotten.get(classroom).copied().unwrap_or(0).max(self.floor)
    }
}

fn published(event: &Event) -> Act {
    Act::Published { seq: event.seq, id: event.id.clone(), about: about(event) }
}

fn about(event: &Event) -> About {
    let ours = event.id.entity_type == ENTITY;
    let whom = ours.then(|| serde_json::from_str::<AgentPayload>(event.payload.get()).ok()).flatten();
    About {
        classroom_id: event.classroom_id.to_string(),
        about: whom.map(|payload| payload.agent_id),
        receiver: event.receiver.clone(),
        sender: event.sender.clone(),
    }
}

/// The header that a message's id travels in, which the stream alone reads.
pub(crate) const ID: &str = headers::MSG_ID;
