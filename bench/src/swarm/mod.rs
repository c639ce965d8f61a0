//! `presence-bench swarm`: thousands of agents in one process that behave as good clients do, or as bad ones; the load
//! of tests, benchmarks and users. One thread runs all agents; what they share is `world.rs`, what one does is
//! `conduct.rs` (pure), `life.rs` and `hearing.rs`.

mod app;
mod args;
mod board;
mod chance;
mod clock;
mod conduct;
mod diary;
mod directory;
mod hearing;
mod life;
mod line;
mod mischief;
mod moves;
mod recorder;
mod run;
mod sibling;
mod slots;
mod token;
mod witness;
mod words;
mod world;

pub(crate) use args::{Args, duration};
pub(crate) use clock::Clock;
pub(crate) use diary::{Continuity, Diary, Kept, compare};
pub(crate) use directory::Directory;
pub(crate) use recorder::Recorder;
pub(crate) use run::run;
pub(crate) use sibling::{Sibling, Speech};
pub(crate) use token::{Purse, Source};
pub(crate) use witness::{Published, Witness};
pub(crate) use world::{Mischief, Phase, Plan, World};

use life::Agent;
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// How often a wait looks whether what it waits for is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Agents that live. Dropped, all of them vanish without a word.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) world: Arc<World>,
    agents: JoinSet<Option<Diary>>,
    diaries: Vec<Diary>,
}

impl Swarm {
    pub(crate) fn start(world: World) -> Self {
        let world = Arc::new(world);
        let mut agents = JoinSet::new();
        for index in 0..world.plan.agents {
            agents.spawn(Agent::new(&world, index).live());
        }
        Self { world, agents, diaries: vec![] }
    }

    /// Everybody was in at least once.
    pub(crate) fn all_in(&self) -> bool {
        self.world.board().been_in >= self.world.plan.agents
    }

    /// Waits for that. Whether it came in time.
    pub(crate) async fn enter(&mut self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while !self.all_in() && Instant::now() < until {
            self.bury();
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.all_in()
    }

    /// Takes leave of those whose life is over.
    pub(crate) fn bury(&mut self) {
        while let Some(over) = self.agents.try_join_next() {
            self.keep(over);
        }
    }

    /// All close cleanly. Those who cannot within that time vanish. Returns how many did.
    pub(crate) async fn stop(&mut self, within: Duration) -> usize {
        self.world.go_on(Phase::Stop);
        let until = Instant::now() + within;
        while let Ok(Some(over)) = tokio::time::timeout_at(until, self.agents.join_next()).await {
            self.keep(over);
        }
        let left = self.agents.len();
        self.agents.abort_all();
        while let Some(over) = self.agents.join_next().await {
            self.keep(over);
        }
        left
    }

    /// All vanish without a word.
    pub(crate) async fn abandon(&mut self) {
        self.agents.shutdown().await;
    }

    /// What everybody who is gone should have heard, and did.
    pub(crate) fn diaries(&self) -> &[Diary] {
        &self.diaries
    }

    fn keep(&mut self, over: Result<Option<Diary>, tokio::task::JoinError>) {
        match over {
            Ok(diary) => self.diaries.extend(diary),
            Err(error) if error.is_cancelled() => {}
            // An agent that panics is a fault of the swarm's: its history cannot be trusted.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
