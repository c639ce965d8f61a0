//! The bus as one replica reaches it: it publishes and reads through the gate, and hears with a delay, in order, and not
//! at all while it is cut off.

use super::{
    World,
    defect::Defect,
    process::{Process, Side},
    stream::{Message, Next},
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use presence::{
    event::{Body, Encoded},
    ports::{
        Fault,
        bus::{Arrival, Backlog, Bus, Outgoing, Subscription},
    },
};
use presence_api::event::Operation;
use presence_core::ids::ClassroomId;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

#[derive(Debug)]
pub(crate) struct SharedBus {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

#[async_trait]
impl Bus for SharedBus {
    async fn publish(&self, event: &Outgoing) -> Result<u64, Fault> {
        let encoded = Encoded::new(event.operation, event.session_id, &event.key, Body::Envelope);
        let message = Message {
            subject: &encoded.subject,
            id: &encoded.message_id,
            headers: &encoded.headers,
            body: &encoded.body,
        };
        let effect = |world: &World| Ok(world.stream.publish(world, &message));
        let published = self.process.call(Side::Bus, "publish", effect).await;
        if published.is_err() && event.operation == Operation::Left && self.world.has(Defect::ForgottenEvent)
        {
            self.forget(event);
        }
        published
    }

    async fn subscribe(&self, classroom: &ClassroomId) -> Result<Subscription, Fault> {
        // Never long, and never in vain: while the bus is away, it begins when it is back.
        sleep(self.world.weather.flight().min(Duration::from_millis(300))).await;
        let knows = self.process.reaches(Side::Bus);
        let position = if knows { self.world.stream.last() } else { 0 };
        let ear = Ear {
            world: self.world.clone(),
            process: self.process.clone(),
            classroom: classroom.clone(),
            position,
        };
        let arrivals = stream::unfold(ear, |mut ear| async move {
            let arrival = ear.next().await?;
            Some((arrival, ear))
        });
        Ok(Subscription { position, arrivals: arrivals.boxed() })
    }

    async fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Result<Backlog, Fault> {
        let effect = |world: &World| {
            let events = world.stream.read(classroom, after, up_to);
            Ok(events.map_or(Backlog::Unprovable, Backlog::Complete))
        };
        self.process.call(Side::Bus, "read", effect).await
    }

    fn is_up(&self) -> bool {
        self.process.reaches(Side::Bus)
    }
}

impl SharedBus {
    fn forget(&self, event: &Outgoing) {
        let now = self.world.now();
        for letter in self.world.tables().outbox.values_mut() {
            if letter.session_id == event.session_id && letter.operation == event.operation {
                letter.published_at.get_or_insert(now);
            }
        }
    }
}

/// One subscription: it remembers a position, and takes what came after it.
struct Ear {
    world: Arc<World>,
    process: Arc<Process>,
    classroom: ClassroomId,
    position: u64,
}

impl Ear {
    async fn next(&mut self) -> Option<Arrival> {
        loop {
            if !self.process.reaches(Side::Bus) {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            let world = self.world.clone();
            let rings = world.stream.listen();
            let next = if self.position == 0 {
                Next::Gap(self.world.stream.last())
            } else {
                self.world.stream.next(&self.classroom, self.position)
            };
            match next {
                Next::Event(event) => {
                    sleep(self.world.weather.flight()).await;
                    self.position = event.seq;
                    return Some(Arrival::Event(event));
                }
                Next::Gap(position) => {
                    self.position = position;
                    return Some(Arrival::Gap { position });
                }
                Next::Nothing => rings.await,
            }
        }
    }
}
