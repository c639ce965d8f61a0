//! The store as one replica reaches it: the ports over the tables that all share, each call through the gate.

use super::{
    World,
    defect::Defect,
    process::{Process, Side, gone},
    tables::{Letter, Tables},
};
use async_trait::async_trait;
use presence::ports::{
    Fault,
    session_store::{
        Audit, Claim, Claimed, Due, Finding, Outbox, Pending, Present, Release, Replica, Replicas, Roster,
        SessionStore, Stay, Whereabouts,
    },
};
use presence_core::{
    ids::{ClassroomId, Fence, ReplicaId, SessionId, SessionKey},
    page::Limit,
    replace::Holder,
    session::Held,
    time::UnixMicros,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long published events stay.
const RETENTION: i64 = 600_000_000;

#[derive(Debug)]
pub(crate) struct Store(pub(crate) Arc<Process>);

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Store {
    async fn ask<T>(
        &self,
        what: &'static str,
        statement: impl FnOnce(&mut Tables, i64) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let effect = |world: &World| statement(&mut world.tables(), world.statement_time());
        self.0.call(Side::Store, what, effect).await
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn claim(&self, claim: Claim) -> Result<Claimed, Fault> {
        self.0.wait_for_a_stalled_holder(&claim.key).await;
        let effect = |world: &World| {
            let claimed = world.tables().claim(&claim, world.statement_time());
            world.trace(|| format!("{} claims {claim:?}: {claimed:?}", self.0.label));
            claimed.map_err(|refused| gone("claim", refused.0))
        };
        self.0.call(Side::Store, "claim", effect).await
    }

    async fn release(&self, release: Release) -> Result<bool, Fault> {
        let since = Instant::now();
        let effect = |world: &World| {
            let now = world.statement_time();
            let ended = now - micros(release.ago + since.elapsed());
            let released = world.tables().release(release.held, ended, now);
            world.trace(|| format!("{} releases {:?}: {released}", self.0.label, release.held));
            Ok(released)
        };
        self.0.call(Side::Store, "release", effect).await
    }

    async fn shed(&self, going: &[Held]) -> Result<(), Fault> {
        self.ask("shed", |tables, _| {
            tables.shed(going);
            Ok(())
        })
        .await
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<Holder>, Fault> {
        self.ask("find", |tables, _| Ok(tables.find(key))).await
    }

    async fn roster(&self, classroom: &ClassroomId) -> Result<Roster, Fault> {
        self.ask("roster", |tables, _| Ok(tables.roster(classroom))).await
    }

    async fn agents(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Present>, Fault> {
        let of = |tables: &mut Tables| {
            let all = tables.roster(classroom).first.into_iter();
            all.filter(|present| present.session_id > after).take(limit.get() as usize).collect()
        };
        self.ask("agents", |tables, _| Ok(of(tables))).await
    }

    async fn counts(&self, classrooms: &[ClassroomId]) -> Result<Vec<(ClassroomId, u64)>, Fault> {
        let count = |tables: &mut Tables| {
            let counts =
                classrooms.iter().map(|classroom| (classroom.clone(), tables.roster(classroom).total));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        self.ask("counts", |tables, _| Ok(count(tables))).await
    }

    async fn attendance(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Stay>, Fault> {
        self.ask("attendance", |tables, _| Ok(stays(tables, classroom, after, limit))).await
    }
}

fn stays(tables: &Tables, classroom: &ClassroomId, after: SessionId, limit: Limit) -> Vec<Stay> {
    let stay = |key: &SessionKey, session_id, from, to: Option<i64>| Stay {
        session_id,
        agent_id: key.agent_id.clone(),
        entered_at: UnixMicros(from),
        left_at: to.map(UnixMicros),
    };
    let live = tables.sessions.iter().filter(|(key, _)| key.classroom_id == *classroom);
    let ended = tables.history.iter().filter(|ended| ended.key.classroom_id == *classroom);
    let mut all: Vec<_> = live
        .map(|(key, row)| stay(key, row.id, row.started_at, None))
        .chain(ended.map(|ended| stay(&ended.key, ended.id, ended.from, Some(ended.to))))
        .filter(|stay| stay.session_id > after)
        .collect();
    all.sort_by_key(|stay| stay.session_id);
    all.truncate(limit.get() as usize);
    all
}

#[async_trait]
impl Outbox for Store {
    async fn due(&self, which: Due, limit: u32) -> Result<Vec<Pending>, Fault> {
        self.ask("due", |tables, now| Ok(due(tables, which, limit, now))).await
    }

    async fn published(&self, positions: &[i64]) -> Result<(), Fault> {
        self.ask("published", |tables, now| {
            for position in positions {
                if let Some(letter) = tables.outbox.get_mut(position) {
                    letter.published_at.get_or_insert(now);
                }
            }
            Ok(())
        })
        .await
    }

    async fn trim(&self) -> Result<u64, Fault> {
        self.ask("trim", |tables, now| {
            let before = tables.outbox.len();
            tables.outbox.retain(|_, letter| letter.published_at.is_none_or(|at| at > now - RETENTION));
            Ok((before - tables.outbox.len()) as u64)
        })
        .await
    }

    async fn backlog(&self) -> Result<(u64, Duration), Fault> {
        self.ask("backlog", |tables, now| {
            let waiting = tables.outbox.values().filter(|letter| letter.published_at.is_none());
            let (count, oldest) =
                waiting.fold((0, now), |(count, oldest), letter| (count + 1, oldest.min(letter.written_at)));
            Ok((count, Duration::from_micros(u64::try_from(now - oldest).unwrap_or(0))))
        })
        .await
    }
}

/// The letters asked for, and every older one of their keys that still waits.
fn due(tables: &Tables, which: Due, limit: u32, now: i64) -> Vec<Pending> {
    let is_asked = |letter: &Letter| match which {
        Due::Of(writer) => letter.writer == writer,
        Due::OlderThan(age) => letter.written_at <= now - micros(age),
    };
    let waiting = || tables.outbox.iter().filter(|(_, letter)| letter.published_at.is_none());
    let asked = waiting().filter(|(_, letter)| is_asked(letter)).take(limit as usize);
    let last_of_key: BTreeMap<&SessionKey, i64> =
        asked.map(|(position, letter)| (&letter.key, *position)).collect();
    waiting()
        .filter(|(position, letter)| last_of_key.get(&letter.key).is_some_and(|last| *position <= last))
        .take(limit as usize)
        .map(|(position, letter)| Pending {
            position: *position,
            operation: letter.operation,
            session_id: letter.session_id,
            key: letter.key.clone(),
        })
        .collect()
}

#[async_trait]
impl Replicas for Store {
    async fn register(&self, replica: &Replica, ttl: Duration) -> Result<Fence, Fault> {
        self.ask("register", |tables, now| Ok(tables.register(replica, micros(ttl), now))).await
    }

    async fn renew(&self, id: ReplicaId, ttl: Duration) -> Result<bool, Fault> {
        self.ask("renew", |tables, now| Ok(tables.renew(id, micros(ttl), now))).await
    }

    async fn set_draining(&self, id: ReplicaId, draining: bool) -> Result<(), Fault> {
        self.ask("set_draining", |tables, _| {
            tables.set_draining(id, draining);
            Ok(())
        })
        .await
    }

    /// These two are asked for classroom apps, which no simulation has.
    async fn whereabouts(&self, _: ReplicaId) -> Result<Option<Whereabouts>, Fault> {
        Ok(None)
    }

    async fn gone(&self, _: ReplicaId, _: &[ReplicaId], _: Duration) -> Result<Vec<ReplicaId>, Fault> {
        Ok(vec![])
    }

    async fn draining(&self) -> Result<u32, Fault> {
        self.ask("draining", |tables, now| Ok(tables.draining(now))).await
    }

    async fn held(&self, id: ReplicaId) -> Result<Vec<Held>, Fault> {
        let effect = |world: &World| {
            let rows = world.tables().held(id);
            if world.has(Defect::Unreconciled) { Err(gone("held", "it does not say")) } else { Ok(rows) }
        };
        self.0.call(Side::Store, "held", effect).await
    }

    async fn retire(&self, id: ReplicaId) -> Result<(), Fault> {
        self.ask("retire", |tables, now| {
            tables.retire(id, now);
            Ok(())
        })
        .await
    }

    async fn sweep(&self, by: ReplicaId, return_window: Duration) -> Result<u64, Fault> {
        let effect = |world: &World| {
            let swept = world.tables().sweep(by, micros(return_window), world.statement_time());
            if swept > 0 {
                world.trace(|| format!("{} sweeps {swept}", self.0.label));
            }
            Ok(swept)
        };
        self.0.call(Side::Store, "sweep", effect).await
    }
}

#[async_trait]
impl Audit for Store {
    /// The checker audits; it sees more.
    async fn audit(&self, _: Duration, _: u32) -> Result<Vec<Finding>, Fault> {
        Ok(vec![])
    }
}
