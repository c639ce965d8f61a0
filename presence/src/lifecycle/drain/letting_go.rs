//! One drain: it is marked in the store, then everybody is told in waves, then what is left is closed; and the way back.

use super::{
    Drainer, LOOK_EVERY, PATIENCE,
    going::{Untold, sessions},
};
use crate::{crash, hub::Command};
use presence_core::{
    drain::{Cause, WAVE, Waves, window},
    time::Time,
};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

impl Drainer {
    /// Ends when every socket has gone and every session is given up, however long the store takes to hear of it.
    pub(super) async fn let_go(&self, until: Time) {
        // Before anybody is told: whoever comes back elsewhere takes the session over whole.
        if !self.mark().await {
            tracing::warn!(
                "other replicas could not be told; agents that come back there are replaced, not handed over"
            );
        }
        crash::point("drain.marked");
        let (shared, waves) = (self.keep_marked(), self.tell_all(until));
        tokio::select! {
            biased;
            () = self.engine.tasks.finished() => {}
            () = shared => {}
            () = waves => {}
        }
    }

    /// Says in the store that this replica lets go, and learns how many do. Both may be repeated. A store that is away
    /// stops nobody: then this replica takes the whole rate, since nobody can come back anywhere.
    async fn mark(&self) -> bool {
        let me = self.engine.replica_id;
        self.progress().marked = true;
        let replicas = &self.engine.deps.store;
        let marked = matches!(timeout(PATIENCE, replicas.set_draining(me, true)).await, Ok(Ok(())));
        self.progress().sharing = if marked { self.count_sharing().await } else { 1 };
        marked
    }

    /// How many replicas let go now, by the store's word; 1 without it.
    pub(super) async fn count_sharing(&self) -> u32 {
        match timeout(PATIENCE, self.engine.deps.store.draining()).await {
            Ok(Ok(count)) => count.max(1),
            Ok(Err(_)) | Err(_) => 1,
        }
    }

    async fn keep_marked(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.mark().await;
        }
    }

    /// Tells whoever is here, and whoever still comes to a seat; for as long as it is polled.
    async fn tell_all(&self, until: Time) {
        let clock = &self.engine.deps.clock;
        let began = clock.now();
        let by = began.after(window(until.since(began)));
        let mut waves = Waves::begin(self.engine.deps.config.session.drain_rate, by, began);
        let mut untold = Untold::default();
        let mut every = interval(Duration::from_millis(WAVE));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = false;
        loop {
            every.tick().await;
            untold.look_if_due(&self.engine.ledger, &self.told, &**clock);
            let now = clock.now();
            let wave = waves.next(untold.len(), self.progress().sharing, now);
            let going = untold.take(wave.agents, &self.engine.ledger);
            let told = going.len();
            for (who, mailbox) in going {
                let reconnect_after_ms = clock.chance() % wave.spread;
                mailbox.command(Command::Drain { until, reconnect_after_ms });
                self.told.insert(who);
            }
            if told > 0 {
                self.count_told(Cause::Shutdown, told);
                crash::point("drain.told");
            }
            if !closing && now >= until {
                closing = true;
                crash::point("drain.closing");
                tracing::info!(left = self.engine.ledger.len(), "the time to go is up: closing what is left");
            }
        }
    }

    /// After a drain: what the store says of this replica is taken back. Until that has worked, sessions are handed over
    /// that need not be, which harms nobody. Done twice: the last mark was given up half-way, and may still arrive.
    pub(super) async fn unmark(&self) {
        let mut times = 0;
        while self.progress().marked {
            let unmarked = self.engine.deps.store.set_draining(self.engine.replica_id, false);
            times += u8::from(matches!(timeout(PATIENCE, unmarked).await, Ok(Ok(()))));
            if times == 2 {
                let mut progress = self.progress();
                progress.marked = false;
                progress.sharing = 1;
            } else {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// A drain that was called off: whoever was told may still go, and is to be handed over whole, so their sessions
    /// are marked before this replica no longer is.
    pub(super) async fn stay(&self) {
        let stayed = self.told.still_here(&self.engine.ledger);
        for mailbox in stayed.iter().filter_map(|who| self.engine.ledger.mailbox_of(*who)) {
            mailbox.command(Command::Stay);
        }
        if !self.progress().marked {
            return;
        }
        let stayed = sessions(&stayed);
        while !stayed.is_empty() && !self.mark_shed(&stayed).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.unmark().await;
    }
}
