//! What several want to hear again of one classroom at the same time is read once: after a network change a whole
//! class comes back together, and all of it missed the same.
//!
//! Whoever comes first reads from where it left off to the end; whoever is behind it in the queue takes its part of
//! that, and only one that left off earlier reads again. In any order but the worst that is a handful of reads for
//! thousands. Nothing is kept beyond the queue: what is in the stream up to a position does not change any more.

use super::{error::Error, link::Link, read};
use crate::{event::Event, ports::bus::Backlog};
use presence_core::ids::ClassroomId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The classrooms that are read now: at most one entry for each read under way.
#[derive(Debug, Default)]
pub(super) struct Backlogs(Mutex<HashMap<ClassroomId, Arc<Queue>>>);

/// The lock is the queue, and whoever holds it reads; if it gives up, the next one does.
type Queue = tokio::sync::Mutex<Known>;

#[derive(Debug, Default)]
struct Known {
    found: Option<Found>,
    /// A range that cannot be proved; nor can one that takes it in.
    unprovable: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Found {
    after: u64,
    up_to: u64,
    events: Vec<Arc<Event>>,
}

impl Known {
    fn part(&self, after: u64, up_to: u64) -> Option<Backlog> {
        let takes_in = |bad: (u64, u64)| after <= bad.0 && bad.1 <= up_to;
        if self.unprovable.is_some_and(takes_in) {
            return Some(Backlog::Unprovable);
        }
        let found = self.found.as_ref().filter(|found| found.after <= after && up_to <= found.up_to)?;
        let part = found.events.iter().filter(|event| after < event.seq && event.seq <= up_to);
        Some(Backlog::Complete(part.cloned().collect()))
    }
}

/// A place in a classroom's queue.
struct Place<'a> {
    backlogs: &'a Backlogs,
    classroom: &'a ClassroomId,
    queue: Arc<Queue>,
}

impl Backlogs {
    fn join<'a>(&'a self, classroom: &'a ClassroomId) -> Place<'a> {
        let queue = self.lock().entry(classroom.clone()).or_default().clone();
        Place { backlogs: self, classroom, queue }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClassroomId, Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.backlogs.lock();
        // This one and the table's: nobody else can get at it without the table.
        if Arc::strong_count(&self.queue) <= 2 {
            queues.remove(self.classroom);
        }
    }
}

/// The classroom's events in `(after, up_to]`, in order.
pub(super) async fn read(
    link: &Link,
    classroom: &ClassroomId,
    (after, up_to): (u64, u64),
) -> Result<Backlog, Error> {
    if link.has_forgotten(after) {
        return Ok(Backlog::Unprovable);
    }
    let place = link.backlogs.join(classroom);
    let mut known = place.queue.lock().await;
    if let Some(part) = known.part(after, up_to) {
        return Ok(part);
    }
    // A little further than this one needs, for those behind it: that much is known to be there.
    let further = up_to.max(link.highest());
    for end in [further, up_to] {
        if let Some(stored) = read::range(link, classroom, (after, end), None).await? {
            let events = stored.iter().filter_map(|stored| stored.event(classroom, link)).collect();
            known.found = Some(Found { after, up_to: end, events });
            break;
        }
        known.unprovable = Some((after, end));
        if end == up_to {
            break;
        }
    }
    Ok(known.part(after, up_to).unwrap_or(Backlog::Unprovable))
}
