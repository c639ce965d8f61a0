//! Several replicas on one database and one stream, a swarm on them, and what the stream has of it all.

use crate::{
    machine,
    presence::Presence,
    report::Report,
    say,
    services::{STREAM, Services},
    swarm::{Directory, Kept, Plan, Published, Purse, Sibling, Source, Speech, Swarm, Witness, World},
};
use anyhow::{Result, bail};
use presence_api::event::ENTITY;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// The swarm's name here: the beginning of its classrooms.
pub(super) const NAME: &str = "bench";
const ENTER_WITHIN: Duration = Duration::from_mins(5);
/// Nothing was published for so long: whatever happened has been told.
const QUIET: Duration = Duration::from_secs(2);
const STOP_WITHIN: Duration = Duration::from_mins(1);

/// Fields are dropped in this order: the replicas need not hear that everybody leaves.
pub(super) struct Fleet {
    pub(super) replicas: Vec<Presence>,
    pub(super) swarm: Swarm,
    pub(super) witness: Witness,
    nats: String,
}

impl Fleet {
    /// Replicas with a swarm that begins to come in.
    pub(super) async fn start(services: &Services, replicas: usize, plan: Plan) -> Result<Self> {
        // Who moves has two sockets for a moment, and all of one replica may move at once.
        machine::check_open_files(plan.agents + plan.agents / replicas.max(1))?;
        Self::on(services, Presence::start_many(services, replicas).await?, plan).await
    }

    /// The same, on replicas that run.
    pub(super) async fn on(services: &Services, replicas: Vec<Presence>, plan: Plan) -> Result<Self> {
        let Some(first) = replicas.first() else { bail!("--replicas: one at least") };
        machine::check_open_files(plan.agents)?;
        let purse = Purse::open(Source::Given(first.token().to_string()))?;
        let witness = Witness::connect(&services.nats, STREAM, &plan.name).await?;
        let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.public).collect();
        let world = World::new(plan, Directory::new(&addresses), purse, None);
        Ok(Self { replicas, swarm: Swarm::start(world), witness, nats: services.nats.clone() })
    }

    /// Waits until everybody is in, and has been told of everybody. Returns where the stream ends then.
    pub(super) async fn settle(&mut self) -> Result<u64> {
        let agents = self.swarm.world.plan.agents;
        if !self.swarm.enter(ENTER_WITHIN).await {
            let board = self.swarm.world.board();
            bail!(
                "{} of {agents} agents came in within {} s; the first failure: {}",
                board.been_in,
                ENTER_WITHIN.as_secs(),
                board.first_failure.as_deref().unwrap_or("none")
            );
        }
        let end = self.witness.quiet(QUIET).await?;
        say(&format!("{agents} agents are in, on {} replicas", self.replicas.len()));
        Ok(end)
    }

    /// A sibling service speaks from now on.
    pub(super) async fn speak(&self, per_second: f64, bytes: usize) -> Result<Option<Sibling>> {
        if per_second <= 0.0 {
            return Ok(None);
        }
        let speech = Speech { nats: self.nats.clone(), per_second, bytes };
        Sibling::start(speech, self.swarm.world.clone()).await.map(Some)
    }

    /// Agents that connect from now on find these.
    pub(super) fn publish_addresses(&self, replicas: &[&Presence]) {
        let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.public).collect();
        self.swarm.world.servers.set(&addresses);
    }

    /// Waits until nothing is published any more, and then has everybody leave. Returns where it was quiet.
    pub(super) async fn end(&mut self) -> Result<u64> {
        let quiet = self.witness.quiet(QUIET).await?;
        self.swarm.world.settle(quiet);
        let late = self.swarm.stop(STOP_WITHIN).await;
        if late > 0 {
            say(&format!("{late} agents could not say good-bye within {} s", STOP_WITHIN.as_secs()));
        }
        self.witness.quiet(QUIET).await?;
        Ok(quiet)
    }

    /// All that was published of the swarm's classrooms after that position, in order.
    pub(super) async fn published(&self, after: u64) -> Result<Vec<Published>> {
        let mut events = vec![];
        self.witness.read(after, |event| events.push(event)).await?;
        Ok(events)
    }
}

/// By classroom, as diaries are compared with it. Our own events are not heard by whom they are about.
pub(super) fn by_room(events: &[Published]) -> BTreeMap<String, Vec<Kept>> {
    let mut rooms: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
    for Published { seq, about, .. } in events {
        let kept = Kept { seq: *seq, receiver: about.receiver.clone(), sender: about.sender.clone() };
        rooms.entry(about.classroom_id.clone()).or_default().push(kept);
    }
    rooms
}

/// Whom an event of ours is about, and what happened.
pub(super) fn ours(event: &Published) -> Option<(&str, &str)> {
    let is_ours = event.id.entity_type == ENTITY;
    is_ours.then_some((event.about.about.as_deref()?, event.id.operation.as_str()))
}

/// The usual end of a scenario.
pub(super) async fn finish(services: &Services, report: Report) -> Result<()> {
    services.forget_stream().await;
    report.finish()
}
