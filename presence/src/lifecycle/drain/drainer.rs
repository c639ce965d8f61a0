//! Who decides that this replica lets go, and knows how far it is: the verbs, the run of the phases, the numbers.
//!
//! Verbs only note what is wanted, and may be repeated; `run` does it. One drain at a time, and no shed during it.

use super::{PATIENCE, Phase, going::Told};
use crate::{engine::Engine, ports::session_store::Due, telemetry::Readiness};
use jiff::Timestamp;
use presence_api::admin::{Shed, State, Stats};
use presence_core::{
    drain::Cause,
    time::{Time, UnixMicros, millis},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::{sync::Notify, time::timeout};

/// Lets go of this replica's sockets.
#[derive(Debug)]
pub struct Drainer {
    pub(super) engine: Arc<Engine>,
    readiness: Arc<Readiness>,
    pub(super) told: Told,
    progress: Mutex<Progress>,
    pub(super) shed_asked: Notify,
}

/// What is known besides the phase. Locked for moments only, and while the phase changes.
#[derive(Debug)]
pub(super) struct Progress {
    since: UnixMicros,
    /// The process ends.
    ending: bool,
    /// The store may say that this replica drains.
    pub(super) marked: bool,
    pub(super) sharing: u32,
    told: u64,
    shed: Option<Asked>,
}

/// A shed that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    agents: u32,
    told: u32,
    under_way: bool,
}

/// Why a wish cannot be granted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the process is ending: there is no way back")]
    Ending,
    #[error("this replica drains: everybody is told to go anyway")]
    Draining,
    #[error("a shed is under way; `GET /api/v1/stats` says how far it is")]
    Shedding,
}

impl Drainer {
    pub fn new(engine: Arc<Engine>, readiness: Arc<Readiness>) -> Self {
        let progress = Progress {
            since: engine.deps.clock.wall(),
            ending: false,
            marked: false,
            sharing: 1,
            told: 0,
            shed: None,
        };
        Self {
            engine,
            readiness,
            told: Told::default(),
            progress: Mutex::new(progress),
            shed_asked: Notify::new(),
        }
    }

    /// Begins to let go, unless that has begun. Returns when what is left is closed.
    pub fn drain(&self) -> Time {
        let mut progress = self.progress();
        if let Some(until) = self.engine.draining.until() {
            return until;
        }
        // Not ready before anybody is told: whoever is told is to be sent elsewhere.
        self.readiness.set_draining(true);
        let timeout_ms = millis(self.engine.deps.config.session.drain_timeout.0);
        let until = self.engine.deps.clock.now().after(timeout_ms);
        progress.told = 0;
        progress.shed = None;
        self.told.clear();
        self.enter(&mut progress, Phase::Draining { until });
        tracing::info!(agents = self.engine.ledger.len(), timeout_ms, "letting go of every agent");
        until
    }

    /// The process is to end: as `drain`, and it cannot be called off.
    pub fn end(&self) -> Time {
        self.progress().ending = true;
        self.drain()
    }

    /// Calls a drain off, if there is one.
    pub fn undrain(&self) -> Result<(), Refused> {
        let mut progress = self.progress();
        if progress.ending {
            return Err(Refused::Ending);
        }
        if self.engine.draining.is_on() {
            self.enter(&mut progress, Phase::Serving);
            self.readiness.set_draining(false);
            tracing::info!("letting go no longer");
        }
        Ok(())
    }

    /// Asks for so many agents to be told to connect elsewhere.
    pub fn shed(&self, agents: u32) -> Result<(), Refused> {
        let mut progress = self.progress();
        if self.engine.draining.is_on() {
            return Err(Refused::Draining);
        }
        if progress.shed.is_some_and(|shed| shed.under_way) {
            return Err(Refused::Shedding);
        }
        progress.told = 0;
        progress.shed = Some(Asked { agents, told: 0, under_way: true });
        self.shed_asked.notify_one();
        tracing::info!(agents, "telling some agents to connect elsewhere");
        Ok(())
    }

    /// Whether this replica asks for new agents.
    pub fn accept(&self, accepting: bool) {
        self.readiness.set_accepting(accepting);
    }

    /// Does what the phase is about, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let phase = self.engine.draining.phase();
            let performing = async {
                self.perform(phase).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                _ = self.engine.draining.wait_for(|now| now != phase) => {}
                () = performing => {}
            }
        }
    }

    async fn perform(&self, phase: Phase) {
        match phase {
            Phase::Serving => {
                self.stay().await;
                self.shed_when_asked().await;
            }
            Phase::Draining { until } => {
                self.let_go(until).await;
                let mut progress = self.progress();
                if self.engine.draining.phase() == phase {
                    self.enter(&mut progress, Phase::Drained { until });
                    tracing::info!(told = progress.told, "nobody is left");
                }
            }
            // Whoever has nobody leaves the rate to others.
            Phase::Drained { .. } => self.unmark().await,
        }
    }

    /// Returns once nobody is left.
    pub async fn drained(&self) {
        self.engine.draining.wait_for(|phase| matches!(phase, Phase::Drained { .. })).await;
    }

    fn enter(&self, progress: &mut Progress, phase: Phase) {
        progress.since = self.engine.deps.clock.wall();
        self.engine.deps.metrics.drain_state.set(match phase {
            Phase::Serving => 0,
            Phase::Draining { .. } => 1,
            Phase::Drained { .. } => 2,
        });
        self.engine.draining.set(phase);
    }

    pub(super) fn count_told(&self, cause: Cause, count: usize) {
        self.engine.deps.metrics.drain_told(cause, count as u64);
        let mut progress = self.progress();
        progress.told += count as u64;
        if let Some(shed) = &mut progress.shed {
            shed.told += u32::try_from(count).unwrap_or(u32::MAX);
        }
    }

    /// How many agents are to be shed, if that has not been done.
    pub(super) fn to_shed(&self) -> Option<u32> {
        self.progress().shed.filter(|shed| shed.under_way).map(|shed| shed.agents - shed.told)
    }

    pub(super) fn end_shed(&self) {
        let mut progress = self.progress();
        progress.sharing = 1;
        if let Some(shed) = &mut progress.shed {
            shed.under_way = false;
        }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn stats(&self) -> Stats {
        let stats = self.numbers();
        // The last of the questions, and the only one that costs something: it is put when the others are answered.
        let empty = stats.state == State::Drained && self.engine.ledger.is_empty();
        let safe = empty && self.has_published().await;
        // It may have been called off while the store was asked.
        Stats { safe_to_delete: safe && self.engine.draining.is_on(), ..stats }
    }

    fn numbers(&self) -> Stats {
        let progress = self.progress();
        let engine = &self.engine;
        let (agents, held) = (engine.hub.seated() as u64, engine.ledger.len() as u64);
        let shed = progress.shed.map(|shed| Shed {
            agents: shed.agents,
            told: shed.told,
            stayed: self.told.still_here(&engine.ledger).len() as u64,
            under_way: shed.under_way,
        });
        Stats {
            replica: engine.replica_id.to_string(),
            label: engine.deps.config.replica.label.clone(),
            state: match engine.draining.phase() {
                Phase::Serving => State::Serving,
                Phase::Draining { .. } => State::Draining,
                Phase::Drained { .. } => State::Drained,
            },
            since: Timestamp::from_microsecond(progress.since.0).unwrap_or(Timestamp::MAX).to_string(),
            ending: progress.ending,
            accepting: self.readiness.accepting(),
            bus: engine.deps.bus.is_up(),
            agents,
            waiting: held.saturating_sub(agents),
            told: progress.told,
            sharing: progress.sharing,
            shed,
            safe_to_delete: false,
        }
    }

    /// Whether every event that this replica wrote is on the bus. A store that does not say so in time does not say it.
    async fn has_published(&self) -> bool {
        let mine = self.engine.deps.store.due(Due::Of(self.engine.replica_id), 1);
        matches!(timeout(PATIENCE, mine).await, Ok(Ok(due)) if due.is_empty())
    }
}
