//! Shedding: some agents are told to connect elsewhere, because others have fewer. Nobody is closed for it.

use super::{
    Drainer, LOOK_EVERY, PATIENCE,
    going::{Untold, sessions},
};
use crate::hub::Command;
use presence_core::{
    drain::{Cause, WAVE, Wave, Waves},
    session::Held,
    time::{Time, millis},
};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Sessions marked by one statement.
const MARKED_AT_ONCE: usize = 1_000;
/// A store that is away for longer than this ends a shed: whoever asked for it looks again at who has how many.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

impl Drainer {
    /// Does what is asked for, one shed after the other; for as long as it is polled.
    pub(super) async fn shed_when_asked(&self) {
        loop {
            let asked = self.shed_asked.notified();
            if let Some(agents) = self.to_shed() {
                self.shed_now(agents).await;
                self.end_shed();
            } else {
                asked.await;
            }
        }
    }

    async fn shed_now(&self, agents: u32) {
        let clock = &self.engine.deps.clock;
        let (rate, never) = (self.engine.deps.config.session.drain_rate, Time(u64::MAX));
        let mut waves = Waves::begin(rate, never, clock.now());
        let (mut untold, mut left) = (Untold::default(), u64::from(agents));
        let (mut counted, mut failing) = (None, None);
        let mut every = interval(Duration::from_millis(WAVE));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while left > 0 {
            every.tick().await;
            untold.look_if_due(&self.engine.ledger, &self.told, &**clock);
            if untold.is_empty() {
                return;
            }
            let now = clock.now();
            if counted.is_none_or(|at| now.since(at) >= millis(LOOK_EVERY)) {
                self.share_for_a_shed().await;
                counted = Some(now);
            }
            let wave = waves.next(untold.len().min(left), self.progress().sharing, now);
            match self.shed_wave(&mut untold, wave).await {
                Some(told) => {
                    left -= told;
                    failing = failing.filter(|_| told == 0);
                }
                None if now.since(*failing.get_or_insert(now)) > millis(GIVE_UP_AFTER) => {
                    tracing::warn!(left, "the store is away: shed no further");
                    return;
                }
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Those who drain share the rate among themselves, and do not see this one: it takes a share as if they did.
    async fn share_for_a_shed(&self) {
        let counted = timeout(PATIENCE, self.engine.deps.store.draining()).await;
        self.progress().sharing = if let Ok(Ok(draining)) = counted { draining + 1 } else { 1 };
    }

    /// Marked first: a client that knows nothing of `resume` is then handed over, too. `None`: the store did not hear of
    /// it, so nobody was told.
    async fn shed_wave(&self, untold: &mut Untold, wave: Wave) -> Option<u64> {
        let going = untold.take(wave.agents, &self.engine.ledger);
        if going.is_empty() {
            return Some(0);
        }
        let who: Vec<_> = going.iter().map(|(who, _)| *who).collect();
        if !self.mark_shed(&sessions(&who)).await {
            return None;
        }
        let told = going.len();
        for (who, mailbox) in going {
            let reconnect_after_ms = self.engine.deps.clock.chance() % wave.spread;
            mailbox.command(Command::Shed { reconnect_after_ms });
            self.told.insert(who);
        }
        self.count_told(Cause::Rebalance, told);
        Some(told as u64)
    }

    /// Marks sessions in the store as ones whose sockets were told to go.
    pub(super) async fn mark_shed(&self, helds: &[Held]) -> bool {
        for helds in helds.chunks(MARKED_AT_ONCE) {
            let marked = timeout(PATIENCE, self.engine.deps.store.shed(helds)).await;
            if !matches!(marked, Ok(Ok(()))) {
                tracing::debug!("sessions could not be marked as shed");
                return false;
            }
        }
        true
    }
}
