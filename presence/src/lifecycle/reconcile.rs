//! Compares, every two seconds, what the store holds under this replica's id with what this process answers for.
//!
//! A row that nobody answers for is released as of when it was first missed. A socket without a row is told: `replaced`
//! where its agent has a later one, `session_lost` else, and its client comes back. Nothing is judged while the store
//! is away or the lease is not held: then a row that is missing proves nothing. See
//! `docs/adr/0009-reconcile-rows-and-sockets.md`.

use super::lease::Tenure;
use crate::{
    engine::Engine,
    hub::{Command, Mailbox},
    ports::{Fault, session_store::Release},
};
use futures_util::{StreamExt, stream};
use presence_core::{
    ids::{Fence, SessionKey},
    reconcile::{Fate, Ghost, Memory, Orphan, fate},
};
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// A socket whose row is gone is told after two looks: within four seconds and the reads.
const EVERY: Duration = Duration::from_secs(2);
/// A look that takes longer is given up; the next one sees the same.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ghosts released in one look, and how many side by side; more wait for the next look.
const RELEASED: usize = 512;
const RELEASING: usize = 64;
/// Orphans that an exact read each is spent on in one look, and how many side by side. More of them than this are a
/// disaster in which it no longer matters who of them was replaced: two looks are proof enough for those.
const REREAD: usize = 256;
const REREADING: usize = 4;

#[derive(Debug)]
pub struct Reconcile {
    pub engine: Arc<Engine>,
    pub tenure: Tenure,
}

/// A socket whose row was not there.
struct Suspect {
    orphan: Orphan,
    key: SessionKey,
    mailbox: Arc<Mailbox>,
}

impl Reconcile {
    /// Looks for as long as it is polled: every so often, and at once when the lease was lost and registered again.
    pub async fn run(self) {
        let mut memory = Memory::default();
        let mut under = self.engine.standing.fence();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.tenure.regained() => {}
                _ = every.tick() => {}
            }
            let fence = self.engine.standing.fence();
            if std::mem::replace(&mut under, fence) != fence {
                // What was seen before the lease was lost was somebody's to change in the meantime.
                memory.forget();
            }
            match tokio::time::timeout(PATIENCE, self.look(&mut memory, fence)).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => {
                    memory.forget();
                    tracing::debug!(error = &fault as &dyn std::error::Error, "compare rows with sockets");
                }
                Err(_) => {
                    tracing::warn!(
                        "comparing rows with sockets took too long; the next look goes on with it"
                    );
                }
            }
        }
    }

    async fn look(&self, memory: &mut Memory, fence: Fence) -> Result<(), Fault> {
        let Engine { deps, standing, ledger, replica_id, .. } = &*self.engine;
        let began = deps.clock.now();
        let rows = deps.store.held(*replica_id).await?;
        // After the read: whoever claimed before it and has heard the answer is in the book by now.
        let entries = ledger.entries();
        if !self.tenure.is_held(began) || !self.tenure.is_held(deps.clock.now()) || standing.fence() != fence
        {
            memory.forget();
            return Ok(());
        }
        let found = memory.look(&rows, &entries, began);
        self.tell(found.orphans).await;
        self.give_up(found.ghosts).await;
        Ok(())
    }

    async fn tell(&self, orphans: Vec<Orphan>) {
        let suspect = |orphan: Orphan| {
            // One that waits for its agent hears it, too. Of one that nobody listens for there is nobody to tell.
            let (key, mailbox) = self.engine.ledger.socket(orphan.held)?;
            Some(Suspect { orphan, key, mailbox })
        };
        let mut suspects: Vec<_> = orphans.into_iter().filter_map(suspect).collect();
        let rest = suspects.split_off(suspects.len().min(REREAD));
        let certain: Vec<_> = rest.into_iter().filter(|suspect| suspect.orphan.seen_before).collect();
        for suspect in &certain {
            suspect.mailbox.command(Command::Disowned);
        }
        let reread = suspects.into_iter().map(|suspect| self.judge(suspect));
        let fates: Vec<_> = stream::iter(reread).buffer_unordered(REREADING).collect().await;
        let of = |fate: Fate| fates.iter().filter(|found| **found == fate).count();
        let (lost, replaced) = (of(Fate::Lost) + certain.len(), of(Fate::Replaced));
        if lost > 0 {
            self.engine.deps.metrics.session_lost.inc_by(lost as u64);
            tracing::warn!(lost, "closed sockets whose sessions the store has lost");
        }
        if replaced > 0 {
            tracing::info!(replaced, "closed sockets whose agents have a later one elsewhere");
        }
    }

    /// Asks the store about this very session, and tells its socket what came of it.
    async fn judge(&self, Suspect { orphan, key, mailbox }: Suspect) -> Fate {
        let Engine { deps, ledger, replica_id, .. } = &*self.engine;
        let holder = match deps.store.find(&key).await {
            Ok(holder) => holder,
            Err(fault) => {
                tracing::debug!(error = &fault as &dyn std::error::Error, "look for a session");
                return Fate::Kept;
            }
        };
        // A release or a replacement was on its way, and has arrived.
        if ledger.mailbox(orphan.held).is_none_or(|now| !Arc::ptr_eq(&now, &mailbox)) {
            return Fate::Kept;
        }
        let fate = match fate(orphan.held, *replica_id, holder) {
            // It may be a release whose answer has not been read yet.
            Fate::Lost if !orphan.seen_before => Fate::Kept,
            fate => fate,
        };
        match fate {
            Fate::Kept => {}
            Fate::Replaced => mailbox.command(Command::Replaced),
            Fate::Lost => mailbox.command(Command::Disowned),
        }
        fate
    }

    async fn give_up(&self, ghosts: Vec<Ghost>) {
        let found = ghosts.len();
        let releasing = ghosts.into_iter().take(RELEASED).map(|ghost| self.release(ghost));
        let gone: Vec<bool> = stream::iter(releasing).buffer_unordered(RELEASING).collect().await;
        let released = gone.into_iter().filter(|gone| *gone).count();
        if released > 0 {
            self.engine.relay.nudge();
            self.engine.deps.metrics.ghosts.inc_by(released as u64);
            tracing::warn!(found, released, "gave up sessions that nobody here answers for");
        }
    }

    /// By id and generation: whoever has claimed it since is not meant.
    async fn release(&self, Ghost { held, since }: Ghost) -> bool {
        let Engine { deps, .. } = &*self.engine;
        let ago = Duration::from_millis(deps.clock.now().since(since));
        let released = deps.store.release(Release { held, ago }).await;
        released.unwrap_or_else(|fault| {
            tracing::debug!(error = &fault as &dyn std::error::Error, "give up a ghost");
            false
        })
    }
}
