//! Looks at what does not report itself: the outbox, the bus, the store's own count. Metrics and readiness show it.

use crate::{
    event::Poison,
    ports::{bus::Bus, lesson_state::LessonState, session_store::Outbox},
    telemetry::{Metrics, Readiness},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Reads a number that only grows.
pub type Count = Box<dyn Fn() -> u64 + Send + Sync>;
/// Reads how many messages were no events, by kind; the numbers only grow.
pub type Poisons = Box<dyn Fn() -> Vec<(Poison, u64)> + Send + Sync>;

const EVERY: Duration = Duration::from_secs(1);
/// Published events past their retention are removed this often.
const TRIM_EVERY: u32 = 30;

pub struct Monitor {
    pub outbox: Arc<dyn Outbox>,
    pub bus: Arc<dyn Bus>,
    /// Where the Socket.IO door is open.
    pub lesson_state: Option<Arc<dyn LessonState>>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub statements: Count,
    pub poison: Poisons,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor {
    /// Looks for as long as it is polled.
    pub async fn run(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut statements, mut poison, mut looks) = (0, HashMap::new(), 0);
        loop {
            every.tick().await;
            self.look_at_the_store().await;
            self.look_at_the_bus(&mut poison);
            self.look_at_the_lesson_state();
            let now = (self.statements)();
            self.metrics.store_statements.inc_by(now - statements);
            statements = now;
            looks = (looks + 1) % TRIM_EVERY;
            if looks == 0 {
                self.trim().await;
            }
        }
    }

    async fn look_at_the_store(&self) {
        let backlog = self.outbox.backlog().await;
        self.readiness.set_store_up(backlog.is_ok());
        if let Ok((pending, oldest)) = backlog {
            self.metrics.outbox_pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
            self.metrics.outbox_oldest.set(oldest.as_secs_f64());
        }
    }

    fn look_at_the_bus(&self, seen: &mut HashMap<Poison, u64>) {
        let up = self.bus.is_up();
        self.readiness.set_bus_up(up);
        self.metrics.bus_up.set(up.into());
        for (kind, now) in (self.poison)() {
            let before = seen.insert(kind, now).unwrap_or(0);
            self.metrics.poison(kind, now - before);
        }
    }

    fn look_at_the_lesson_state(&self) {
        if let Some(state) = &self.lesson_state {
            let up = state.is_up();
            self.readiness.set_lesson_state_up(up);
            self.metrics.lesson_state_up.set(up.into());
        }
    }

    async fn trim(&self) {
        match self.outbox.trim().await {
            Ok(removed) => tracing::debug!(removed, "trimmed the outbox"),
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "trim the outbox"),
        }
    }
}
