//! One ear per occupied classroom: whatever the bus brings goes into the room's mailboxes.
//!
//! A room begins to listen when somebody first enters, and stops some time after the last one left. When the bus
//! cannot prove that nothing is missing, everybody in the room gets the state instead: a `resync`.

use crate::{
    conversation::encode,
    event::{Spoken, packet},
    flows::connect::snapshot,
    hub::{Hub, Room},
    lifecycle::tasks::Tasks,
    ports::{
        Fault,
        bus::{Arrival, Bus, Subscription},
        session_store::SessionStore,
    },
    telemetry::Metrics,
};
use futures_util::StreamExt;
use presence_api::frames::ServerFrame;
use presence_core::ids::ClassroomId;
use std::{sync::Arc, time::Duration};

/// How long an empty room goes on listening: the last one out is often the first one in again.
const LINGER: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Feeds {
    pub hub: Arc<Hub>,
    pub bus: Arc<dyn Bus>,
    pub store: Arc<dyn SessionStore>,
    pub metrics: Arc<Metrics>,
    pub tasks: Tasks,
}

impl Feeds {
    /// The classroom's room, listening.
    pub async fn room(&self, classroom: &ClassroomId) -> Result<Arc<Room>, Fault> {
        let room = self.hub.room(classroom);
        room.listening.get_or_try_init(|| self.listen(&room)).await?;
        Ok(room)
    }

    async fn listen(&self, room: &Arc<Room>) -> Result<(), Fault> {
        let subscription = self.bus.subscribe(room.classroom()).await?;
        room.begin_at(subscription.position);
        self.tasks.start_sound("feed", self.clone().run(room.clone(), subscription));
        Ok(())
    }

    async fn run(self, room: Arc<Room>, mut subscription: Subscription) {
        let mut linger = tokio::time::interval(LINGER);
        // Two ticks that were late together are not two looks.
        linger.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        linger.tick().await;
        let mut was_empty = false;
        loop {
            tokio::select! {
                // First, or a classroom that others never stop talking in would be heard for ever; it comes seldom.
                biased;
                _ = linger.tick() => {
                    let is_empty = room.is_empty();
                    if is_empty && was_empty && self.hub.retire(&room) {
                        return;
                    }
                    was_empty = is_empty;
                }
                arrival = subscription.arrivals.next() => match arrival {
                    Some(Arrival::Event(event)) => {
                        let (delivered, overflowed) = room.deliver(&event);
                        self.metrics.events_received.inc();
                        self.metrics.events_delivered.inc_by(delivered as u64);
                        self.metrics.queue_overflows.inc_by(overflowed as u64);
                    }
                    Some(Arrival::Gap { position }) => self.resync(&room, position).await,
                    None => subscription = self.listen_again(&room).await,
                },
            }
        }
    }

    /// A subscription that ended is made anew; what was said meanwhile is made good by a resync.
    async fn listen_again(&self, room: &Room) -> Subscription {
        tokio::time::sleep(FIRST_PAUSE).await;
        let subscription = persist("subscribe again", || self.bus.subscribe(room.classroom())).await;
        self.resync(room, subscription.position).await;
        subscription
    }

    /// Tells the room its state as of `position`, once the store can be read.
    async fn resync(&self, room: &Room, position: u64) {
        let roster = persist("read roster for a resync", || self.store.roster(room.classroom())).await;
        let snapshot = snapshot(position, roster);
        let packet = packet("resync", &encode(&snapshot), None);
        let native = encode(&ServerFrame::Resync(snapshot));
        let told = room.resync(&Spoken { native, packet }, position);
        tracing::info!(classroom = %room.classroom(), position, told, "resynced a room after a gap");
    }
}

/// Tries until it works, or the room's task is stopped; the room has no use for less.
async fn persist<T, F: Future<Output = Result<T, Fault>>>(what: &'static str, attempt: impl Fn() -> F) -> T {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "{what}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
