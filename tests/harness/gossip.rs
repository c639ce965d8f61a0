//! A sibling service that talks into classrooms for as long as a scenario lasts, whatever becomes of NATS: to all, to
//! one, and in the name of one. What of it was kept is the witness's to say.

use crate::{
    crowd::chance::Chance,
    publisher::{Foreign, Publisher},
};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;
use url::Url;

/// What is not acknowledged by then is given up: it may have been kept or not.
const PATIENCE: Duration = Duration::from_secs(1);

/// Talks until it is dropped.
#[derive(Debug)]
pub struct Gossip {
    _talking: JoinSet<()>,
}

/// About what, with whom and how fast.
#[derive(Debug, Clone)]
pub struct Topic {
    pub classrooms: Vec<String>,
    /// By agent id: who may be addressed, or said to be the sender.
    pub agents: Vec<String>,
    pub every: Duration,
    /// Bytes of each event's text.
    pub bytes: usize,
}

impl Gossip {
    pub async fn start(nats: &Url, topic: Topic, chance: Chance) -> Result<Self> {
        let publisher = Publisher::connect(nats).await?;
        let mut talking = JoinSet::new();
        talking.spawn(talk(publisher, topic, chance));
        Ok(Self { _talking: talking })
    }
}

async fn talk(publisher: Publisher, topic: Topic, mut chance: Chance) {
    let mut every = tokio::time::interval(topic.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 1.. {
        every.tick().await;
        let classroom = chance.one_of(&topic.classrooms).clone();
        let (one, other) = (chance.one_of(&topic.agents).clone(), chance.one_of(&topic.agents).clone());
        let mut event = Foreign::new(&classroom, number);
        match chance.below(6) {
            0 => event.receiver = Some(one.as_str()),
            1 => event.sender = &one,
            2 => (event.sender, event.receiver) = (&one, Some(other.as_str())),
            3 => event.internal = true,
            _ => {}
        }
        event.payload = json!({
            "text": "x".repeat(topic.bytes), "classroom_id": classroom, "for": event.receiver,
        });
        let bare = chance.below(2) == 0;
        let publishing =
            async { if bare { publisher.bare(&event).await } else { publisher.enveloped(&event).await } };
        // NATS may be away; who heard what is judged by what the stream kept.
        let _ = tokio::time::timeout(PATIENCE, publishing).await;
    }
}
