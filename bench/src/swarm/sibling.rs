//! A sibling service: it says something in the swarm's classrooms at a steady rate, from a thread of its own, so that
//! busy agents do not slow it down unseen. Both shapes of body; one event in ten is for one agent alone, one in ten
//! is said by an agent, who must not hear it.

use super::{chance::Chance, words::OURS, world::World};
use anyhow::{Context as _, Result};
use async_nats::{HeaderMap, jetstream};
use presence_api::event::headers;
use serde_json::{Value, json};
use std::{sync::Arc, thread, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::Instant,
};

const OPERATION: &str = "said";
/// So many may wait for their acknowledgement; then the sibling waits, which shows as latency.
const UNACKNOWLEDGED: usize = 1_000;
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
const ADDRESSED: f64 = 0.1;

#[derive(Debug, Clone)]
pub(crate) struct Speech {
    pub(crate) nats: String,
    pub(crate) per_second: f64,
    pub(crate) bytes: usize,
}

/// Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Sibling {
    silence: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Sibling {
    /// Speaks from now on; fails if NATS cannot be reached.
    pub(crate) async fn start(speech: Speech, world: Arc<World>) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        let ((silence, silenced), (connected, connecting), (end, ended)) =
            (watch::channel(false), oneshot::channel(), oneshot::channel());
        let work = move || {
            runtime.block_on(async {
                match async_nats::connect(&speech.nats).await {
                    Ok(client) => {
                        // Whoever started it may have given up.
                        let _ = connected.send(Ok(()));
                        let jetstream = jetstream::new(client);
                        Voice { world, jetstream, chance: Chance::new(0, 1), acks: JoinSet::new() }
                            .speak(&speech, silenced)
                            .await;
                    }
                    Err(error) => drop(connected.send(Err(error))),
                }
            });
            let _ = end.send(());
        };
        thread::Builder::new().name("sibling".into()).spawn(work).context("start the sibling")?;
        connecting.await.context("the sibling ended")?.context("connect the sibling to NATS")?;
        Ok(Self { silence, ended })
    }

    /// Says nothing more; returns when what was said is acknowledged, or will not be.
    pub(crate) async fn fall_silent(self) {
        // It may have ended by itself.
        let _ = self.silence.send(true);
        let _ = tokio::time::timeout(ACKNOWLEDGED_WITHIN * 2, self.ended).await;
    }
}

struct Voice {
    world: Arc<World>,
    jetstream: jetstream::Context,
    chance: Chance,
    acks: JoinSet<bool>,
}

impl Voice {
    async fn speak(mut self, speech: &Speech, mut silenced: watch::Receiver<bool>) {
        let (began, pace) = (Instant::now(), Duration::from_secs_f64(1.0 / speech.per_second));
        let mut due = began;
        for number in 0.. {
            tokio::select! {
                biased;
                _ = silenced.changed() => break,
                () = tokio::time::sleep_until(due) => {}
            }
            self.say(number, due, speech.bytes).await;
            due += pace;
            while self.acks.len() >= UNACKNOWLEDGED {
                self.note_ack().await;
            }
            while let Some(acknowledged) = self.acks.try_join_next() {
                self.count(acknowledged.unwrap_or(false));
            }
        }
        while !self.acks.is_empty() {
            self.note_ack().await;
        }
    }

    async fn note_ack(&mut self) {
        if let Some(acknowledged) = self.acks.join_next().await {
            self.count(acknowledged.unwrap_or(false));
        }
    }

    fn count(&self, acknowledged: bool) {
        let counts = &mut self.world.board().counts;
        counts.published += u64::from(acknowledged);
        counts.unacknowledged += u64::from(!acknowledged);
    }

    async fn say(&mut self, number: u64, due: Instant, bytes: usize) {
        let event = self.event(number, due, bytes);
        let publishing =
            self.jetstream.publish_with_headers(event.subject, event.headers, event.body.to_string().into());
        let published = tokio::time::timeout(ACKNOWLEDGED_WITHIN, publishing).await;
        let Ok(Ok(ack)) = published else {
            self.count(false);
            return;
        };
        self.acks.spawn(async move {
            let acked = tokio::time::timeout(ACKNOWLEDGED_WITHIN, ack.into_future()).await;
            matches!(acked, Ok(Ok(_)))
        });
    }

    fn event(&mut self, number: u64, due: Instant, bytes: usize) -> Event {
        let plan = &self.world.plan;
        let room = self.chance.index(plan.classrooms);
        let members = (plan.agents - room).div_ceil(plan.classrooms);
        let lot = self.chance.unit();
        let one = room + plan.classrooms * self.chance.index(members);
        let receiver = (lot < ADDRESSED).then(|| self.world.agent_id(one));
        let sender = (ADDRESSED..2.0 * ADDRESSED).contains(&lot).then(|| self.world.agent_id(one));
        let due = self.world.clock.at(due);
        let run = self.world.clock.wall();
        Event::new(Said { number, run, due, bytes, room: self.world.classroom(room), receiver, sender })
    }
}

struct Said {
    number: u64,
    /// When the swarm began: message ids of two swarms are not the same.
    run: i64,
    due: i64,
    bytes: usize,
    room: String,
    receiver: Option<String>,
    sender: Option<String>,
}

struct Event {
    subject: String,
    headers: HeaderMap,
    body: Value,
}

impl Event {
    /// Every other one is enveloped, the rest are bare.
    fn new(said: Said) -> Self {
        let Said { number, run, due, bytes, room, receiver, sender } = said;
        let mut payload = json!({ "due": due, "receiver": receiver, "sender": sender, "pad": "" });
        payload["pad"] = "x".repeat(bytes.saturating_sub(payload.to_string().len())).into();
        let mut map = HeaderMap::new();
        map.insert(headers::MSG_ID, format!("swarm-{run}-{number}"));
        map.insert(headers::SENDER, sender.unwrap_or_else(|| "sibling.swarm.example".to_owned()));
        map.insert(headers::INTERNAL, "false");
        if let Some(receiver) = receiver {
            map.insert(headers::RECEIVER, receiver);
        }
        let body = if number.is_multiple_of(2) {
            json!({
                "id": { "entity_type": OURS, "operation": OPERATION, "sequence_id": number },
                "payload": payload,
            })
        } else {
            map.insert(headers::EVENT_TYPE, OURS);
            map.insert(headers::EVENT_OPERATION, OPERATION);
            map.insert(headers::EVENT_SEQUENCE_ID, number.to_string());
            payload
        };
        Self { subject: format!("classroom.{room}.{OURS}"), headers: map, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_of_itself_whom_it_is_for() {
        for number in [2, 3] {
            let said = Said {
                number,
                run: 7,
                due: 5,
                bytes: 200,
                room: "c".into(),
                receiver: Some("a.b.c".into()),
                sender: None,
            };
            let event = Event::new(said);
            let header = |name| event.headers.get(name).map(ToString::to_string);
            assert_eq!(header(headers::MSG_ID), Some(format!("swarm-7-{number}")));
            assert_eq!(header(headers::RECEIVER).as_deref(), Some("a.b.c"));
            assert_eq!(header(headers::EVENT_TYPE).is_some(), number == 3, "bare: its id is in the headers");
            let payload = if number == 2 { &event.body["payload"] } else { &event.body };
            assert_eq!(payload["receiver"], "a.b.c");
            assert_eq!(payload.to_string().len(), 200);
        }
    }
}
