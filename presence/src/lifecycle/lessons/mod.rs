//! The lesson state against what is: every two seconds this replica's own entries, and those of replicas that are gone.
//!
//! What it has under this replica and nobody here answers for is ended; what is missing, because it was lost, is restored.
//! Whoever may sweep ends the sockets of dead replicas there, too. An end is told by whoever got to do it, so all of this
//! may happen on several replicas at once. While the lesson state is away nothing is judged. See
//! `docs/adr/0010-socket-io-door.md`.

mod hearing;
mod memory;

pub use hearing::hear;

use super::lease::Tenure;
use crate::{
    apps::Apps,
    engine::Engine,
    flows::lesson::tell,
    ports::{Fault, lesson_state::Entered},
};
use futures_util::{StreamExt, future::join_all, stream};
use memory::{Found, Memory};
use presence_core::ids::ReplicaId;
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// What was lost is back after one look, or two.
const EVERY: Duration = Duration::from_secs(2);
/// Sockets that are ended in one look, and how many side by side; more wait for the next look.
const ENDED: usize = 512;
const ENDING: usize = 16;
/// The same of those that are restored. A lost state is a storm already: not all of it in one look.
const RESTORED: usize = 4096;
const RESTORING: usize = 32;

#[derive(Debug)]
pub struct Lessons {
    pub engine: Arc<Engine>,
    pub tenure: Tenure,
}

impl Lessons {
    /// Looks for as long as it is polled.
    pub async fn run(self) {
        let Some(apps) = &self.engine.apps else { return std::future::pending().await };
        let mut memory = Memory::default();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(fault) = self.once(apps, &mut memory).await {
                tracing::debug!(error = &fault as &dyn std::error::Error, "look at the lesson state");
            }
        }
    }

    /// Every step of it is bounded by its port. It is never broken off in between: what was ended is to be told.
    async fn once(&self, apps: &Apps, memory: &mut Memory) -> Result<(), Fault> {
        self.finish(apps).await?;
        self.look(apps, memory).await?;
        self.sweep(apps).await
    }

    /// Those that are over and could not be ended, because the lesson state was away. It may have lost them by now: they end
    /// all the same.
    async fn finish(&self, apps: &Apps) -> Result<(), Fault> {
        let me = self.engine.replica_id;
        for batch in apps.present.unfinished().chunks(ENDING) {
            let ending = batch.iter().map(|entered| apps.state.end(me, &entered.socket, None));
            let mut away = None;
            for (Entered { socket, .. }, ended) in batch.iter().zip(join_all(ending).await) {
                match ended {
                    Ok(ended) => {
                        apps.present.finish(&socket.sid);
                        if let Some(ended) = ended {
                            tell(&self.engine, socket, ended).await;
                        }
                    }
                    Err(fault) => away = Some(fault),
                }
            }
            // Nobody else goes through either.
            away.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// This replica's own.
    async fn look(&self, apps: &Apps, memory: &mut Memory) -> Result<(), Fault> {
        let me = self.engine.replica_id;
        let entered = apps.state.entered(me).await?;
        // After the read: whoever had entered before it was answered for by then.
        let present = apps.present.all();
        let Found { left_over, missing } = memory.look(entered, &present);
        let ended = self.end(apps, me, left_over).await;
        if ended > 0 {
            self.engine.deps.metrics.app_sockets_ended.inc_by(ended);
            tracing::warn!(ended, "ended sockets in the lesson state that nobody here answers for");
        }
        self.restore(apps, missing).await;
        Ok(())
    }

    /// Those of others who do not come back. Like a sweep of the store only by whoever has held the lease for long enough:
    /// an outage of the store makes nobody gone.
    async fn sweep(&self, apps: &Apps) -> Result<(), Fault> {
        let Engine { deps, replica_id: me, .. } = &*self.engine;
        let mut others = apps.state.replicas().await?;
        others.retain(|other| other != me);
        if others.is_empty() || !self.tenure.may_sweep(deps.clock.now()) {
            return Ok(());
        }
        let gone = deps.store.gone(*me, &others, deps.config.session.return_window.0).await?;
        let mut room = ENDED;
        for replica in gone {
            let left: Vec<_> = apps.state.entered(replica).await?.into_iter().take(room).collect();
            room -= left.len();
            let ended = self.end(apps, replica, left).await;
            if ended > 0 {
                deps.metrics.app_sockets_ended.inc_by(ended);
                tracing::info!(%replica, ended, "ended the sockets of a replica that is gone");
            }
        }
        Ok(())
    }

    /// Returns how many this replica got to end.
    async fn end(&self, apps: &Apps, replica: ReplicaId, left: Vec<Entered>) -> u64 {
        let ending = left.into_iter().take(ENDED).map(|entered| self.end_one(apps, replica, entered));
        let ended: Vec<bool> = stream::iter(ending).buffer_unordered(ENDING).collect().await;
        ended.into_iter().filter(|ended| *ended).count() as u64
    }

    /// Whoever ends it tells of it.
    async fn end_one(&self, apps: &Apps, replica: ReplicaId, Entered { socket, .. }: Entered) -> bool {
        match apps.state.end(replica, &socket, None).await {
            Ok(Some(ended)) => {
                tell(&self.engine, &socket, ended).await;
                true
            }
            Ok(None) => false,
            Err(fault) => {
                tracing::debug!(error = &fault as &dyn std::error::Error, "end a socket that was left over");
                false
            }
        }
    }

    async fn restore(&self, apps: &Apps, missing: Vec<(Entered, i64)>) {
        let restoring =
            missing.into_iter().take(RESTORED).map(|(entered, at)| self.restore_one(apps, entered, at));
        let restored: Vec<bool> = stream::iter(restoring).buffer_unordered(RESTORING).collect().await;
        let restored = restored.into_iter().filter(|restored| *restored).count();
        if restored > 0 {
            self.engine.deps.metrics.app_sockets_restored.inc_by(restored as u64);
            tracing::warn!(restored, "wrote sockets again that the lesson state had lost");
        }
    }

    async fn restore_one(&self, apps: &Apps, entered: Entered, login_time: i64) -> bool {
        // It may have ended in the meantime, or end now: the lesson state knows.
        if !apps.present.has(&entered.socket.sid) {
            return false;
        }
        let Engine { deps, replica_id, .. } = &*self.engine;
        let restored =
            apps.state.restore(*replica_id, &entered, login_time, deps.config.socketio.seats).await;
        restored
            .inspect_err(|fault| tracing::debug!(error = fault as &dyn std::error::Error, "restore a socket"))
            .unwrap_or(false)
    }
}
