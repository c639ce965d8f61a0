//! Every adapter of the `Bus` port, with a sibling service beside it.

use crate::bus_kit::{self, clock};
use presence::{
    adapters::{
        bus_in_process::{self, InProcessBus},
        bus_nats::NatsBus,
    },
    event::{Body, Poison},
    ports::bus::{Backlog, Bus},
};
use presence_core::ids::ClassroomId;
use std::sync::Arc;

/// A bus, and a sibling service that publishes on it in its own words.
pub(crate) struct Fixture {
    pub(crate) bus: Arc<dyn Bus>,
    sibling: Sibling,
}

pub(crate) enum Sibling {
    Nats(NatsBus, Box<async_nats::jetstream::Context>),
    InProcess(InProcessBus),
}

impl Fixture {
    pub(crate) async fn nats(body: Body) -> Self {
        let url = bus_kit::environment("PRESENCE_TEST_NATS");
        let mut options = bus_kit::options(&url);
        options.event_body = body;
        let bus = bus_kit::connected(options).await;
        let sibling = async_nats::connect(&url).await.unwrap();
        let sibling = Sibling::Nats(bus.clone(), Box::new(async_nats::jetstream::new(sibling)));
        Self { bus: Arc::new(bus), sibling }
    }

    #[expect(clippy::unused_async, reason = "the table calls all fixtures alike")]
    pub(crate) async fn in_process(body: Body) -> Self {
        let options = bus_in_process::Options { event_body: body, ..Default::default() };
        let bus = InProcessBus::new(options, &*clock());
        Self { bus: Arc::new(bus.clone()), sibling: Sibling::InProcess(bus) }
    }

    pub(crate) async fn say(
        &self,
        classroom: &ClassroomId,
        topic: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> u64 {
        let subject = format!("classroom.{classroom}.{topic}");
        match &self.sibling {
            Sibling::InProcess(bus) => bus.publish_raw(&subject, headers, body),
            Sibling::Nats(_, context) => {
                let mut map = async_nats::HeaderMap::new();
                for (name, value) in headers {
                    map.insert(*name, *value);
                }
                let ack = context.publish_with_headers(subject, map, body.to_vec().into()).await;
                ack.unwrap().await.unwrap().sequence
            }
        }
    }

    /// A well-formed event of a sibling.
    pub(crate) async fn chat(&self, classroom: &ClassroomId, n: u64) -> u64 {
        let body = format!(
            r#"{{"id":{{"entity_type":"chat","operation":"said","sequence_id":{n}}},"payload":{{}}}}"#
        );
        self.say(classroom, "chat", &[], body.as_bytes()).await
    }

    pub(crate) fn poison(&self, poison: Poison) -> u64 {
        let find = |mut counts: Box<dyn Iterator<Item = (Poison, u64)> + '_>| {
            counts.find(|c| c.0 == poison).unwrap().1
        };
        match &self.sibling {
            Sibling::Nats(bus, _) => find(Box::new(bus.poison_counts())),
            Sibling::InProcess(bus) => find(Box::new(bus.poison_counts())),
        }
    }

    pub(crate) async fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Option<Vec<u64>> {
        match self.bus.read(classroom, after, up_to).await.unwrap() {
            Backlog::Complete(events) => Some(events.iter().map(|event| event.seq).collect()),
            Backlog::Unprovable => None,
        }
    }
}
