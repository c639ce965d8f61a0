//! What the database holds, and its statements: each method is one, atomic, by the store's own clock. A model of the
//! contract in `ports::session_store`, as small as it can be said.

use super::defect::Defect;
use presence::ports::session_store::{Claim, Claimed, Replica, Roster};
use presence_api::event::Operation;
use presence_core::{
    ids::{ClassroomId, Fence, Generation, ReplicaId, SessionId, SessionKey},
    page::SNAPSHOT_LIMIT,
    replace::Holder,
    session::Held,
};
use std::collections::BTreeMap;

/// Sessions of replicas that nobody knows are left alone for so much longer.
const ORPHAN_GRACE: i64 = 10_000_000;
/// When a retired replica's lease ran out.
const RETIRED: i64 = i64::MIN;

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: SessionId,
    pub(crate) generation: Generation,
    pub(crate) replica_id: ReplicaId,
    pub(crate) started_at: i64,
    pub(crate) claimed_at: i64,
    shed: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) label: Option<String>,
    fence: Fence,
    pub(crate) draining: bool,
    renewed_at: i64,
    until: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) operation: Operation,
    pub(crate) session_id: SessionId,
    pub(crate) key: SessionKey,
    pub(crate) writer: ReplicaId,
    pub(crate) written_at: i64,
    pub(crate) published_at: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) sessions: BTreeMap<SessionKey, Row>,
    pub(crate) history: Vec<Ended>,
    pub(crate) replicas: BTreeMap<ReplicaId, Lease>,
    pub(crate) outbox: BTreeMap<i64, Letter>,
    last_session: i64,
    last_position: i64,
    defect: Option<Defect>,
}

/// Why a claim is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl Tables {
    pub(crate) const fn new(defect: Option<Defect>) -> Self {
        Self {
            sessions: BTreeMap::new(),
            history: vec![],
            replicas: BTreeMap::new(),
            outbox: BTreeMap::new(),
            last_session: 0,
            last_position: 0,
            defect,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn leased(&self, id: ReplicaId, now: i64) -> bool {
        self.replicas.get(&id).is_some_and(|lease| lease.until > now)
    }

    pub(crate) fn claim(&mut self, claim: &Claim, now: i64) -> Result<Claimed, Refused> {
        let me = claim.replica_id;
        let stands = self.leased(me, now) && self.replicas.get(&me).is_some_and(|it| it.fence == claim.fence);
        if !stands && !self.has(Defect::Unfenced) {
            return Err(Refused("the claim's replica has lost its lease meanwhile"));
        }
        let Some(row) = self.sessions.get(&claim.key).cloned() else {
            return Ok(self.begin(claim, now));
        };
        let holder = Holder { session_id: row.id, generation: row.generation, replica_id: row.replica_id };
        let lapsed = !self.leased(row.replica_id, now);
        let drains = self.replicas.get(&row.replica_id).is_some_and(|lease| lease.draining);
        if lapsed && row.replica_id != me && self.has(Defect::LockedOut) {
            return Err(Refused("its owner is dead"));
        }
        let keeps = row.replica_id == me || lapsed || drains || row.shed || claim.resume == Some(row.id);
        let mut next = Row {
            generation: Generation(row.generation.0 + 1),
            replica_id: me,
            claimed_at: now,
            shed: false,
            ..row.clone()
        };
        if !keeps {
            self.end(&claim.key, &row, now);
            next.id = self.next_session();
            next.started_at = now;
            if self.has(Defect::EnteredAgain) {
                self.tell(Operation::Entered, (next.id, &claim.key), me, now);
            }
        }
        let held = Held { session_id: next.id, generation: next.generation };
        self.sessions.insert(claim.key.clone(), next);
        Ok(Claimed { held, previous: Some(holder) })
    }

    fn begin(&mut self, claim: &Claim, now: i64) -> Claimed {
        let row = Row {
            id: self.next_session(),
            generation: Generation(1),
            replica_id: claim.replica_id,
            started_at: now,
            claimed_at: now,
            shed: false,
        };
        let held = Held { session_id: row.id, generation: row.generation };
        self.tell(Operation::Entered, (row.id, &claim.key), claim.replica_id, now);
        self.sessions.insert(claim.key.clone(), row);
        Claimed { held, previous: None }
    }

    fn next_session(&mut self) -> SessionId {
        self.last_session += 1;
        SessionId(self.last_session)
    }

    /// A row becomes history. Stays of one key do not overlap, and none is empty.
    fn end(&mut self, key: &SessionKey, row: &Row, at: i64) {
        let former = self.history.iter().filter(|ended| ended.key == *key).map(|ended| ended.to).max();
        let from = row.started_at.max(former.unwrap_or(row.started_at));
        self.sessions.remove(key);
        self.history.push(Ended { id: row.id, key: key.clone(), from, to: at.max(from + 1) });
    }

    fn tell(
        &mut self,
        operation: Operation,
        (id, key): (SessionId, &SessionKey),
        writer: ReplicaId,
        now: i64,
    ) {
        self.last_position += 1;
        let letter = Letter {
            operation,
            session_id: id,
            key: key.clone(),
            writer,
            written_at: now,
            published_at: None,
        };
        self.outbox.insert(self.last_position, letter);
    }

    pub(crate) fn release(&mut self, held: Held, ended: i64, now: i64) -> bool {
        let is_meant = |row: &Row| {
            row.id == held.session_id
                && (row.generation == held.generation || self.has(Defect::GenerationIgnored))
        };
        let by_key = self.has(Defect::ReleasedByKey).then(|| self.key_of(held.session_id)).flatten();
        let found = match by_key {
            Some(key) => self.sessions.get_key_value(&key),
            None => self.sessions.iter().find(|(_, row)| is_meant(row)),
        };
        let Some((key, row)) = found.map(|(key, row)| (key.clone(), row.clone())) else {
            return false;
        };
        let silent = self.has(Defect::DrainedInSilence)
            && self.replicas.get(&row.replica_id).is_some_and(|lease| lease.draining);
        self.end(&key, &row, ended);
        if !silent {
            self.tell(Operation::Left, (row.id, &key), row.replica_id, now);
        }
        true
    }

    fn key_of(&self, id: SessionId) -> Option<SessionKey> {
        let live = self.sessions.iter().find(|(_, row)| row.id == id).map(|(key, _)| key);
        live.or_else(|| self.history.iter().find(|ended| ended.id == id).map(|ended| &ended.key)).cloned()
    }

    pub(crate) fn shed(&mut self, going: &[Held]) {
        for row in self.sessions.values_mut() {
            let held = Held { session_id: row.id, generation: row.generation };
            row.shed |= going.contains(&held);
        }
    }

    pub(crate) fn find(&self, key: &SessionKey) -> Option<Holder> {
        let row = self.sessions.get(key)?;
        Some(Holder { session_id: row.id, generation: row.generation, replica_id: row.replica_id })
    }

    pub(crate) fn roster(&self, classroom: &ClassroomId) -> Roster {
        let mut all: Vec<_> = self
            .sessions
            .iter()
            .filter(|(key, _)| key.classroom_id == *classroom)
            .map(|(key, row)| presence::ports::session_store::Present {
                session_id: row.id,
                agent_id: key.agent_id.clone(),
            })
            .collect();
        all.sort_by_key(|present| present.session_id);
        let total = all.len() as u64;
        all.truncate(SNAPSHOT_LIMIT as usize);
        Roster { first: all, total }
    }

    pub(crate) fn held(&self, id: ReplicaId) -> Vec<Held> {
        let held = |row: &Row| Held { session_id: row.id, generation: row.generation };
        let mut all: Vec<_> = self.sessions.values().filter(|row| row.replica_id == id).map(held).collect();
        all.sort_unstable();
        all
    }

    /// Ends the lease of whoever had the label; a replica that registers again does not stop draining by it.
    pub(crate) fn register(&mut self, replica: &Replica, ttl: i64, now: i64) -> Fence {
        for (id, lease) in &mut self.replicas {
            if *id != replica.id && lease.label.as_ref() == Some(&replica.label) {
                lease.label = None;
                lease.until = lease.until.min(now);
            }
        }
        let former = self.replicas.get(&replica.id);
        let fence = Fence(former.map_or(1, |lease| lease.fence.0 + 1));
        let draining = former.is_some_and(|lease| lease.draining);
        let label = Some(replica.label.clone());
        self.replicas.insert(replica.id, Lease { label, fence, draining, renewed_at: now, until: now + ttl });
        fence
    }

    pub(crate) fn renew(&mut self, id: ReplicaId, ttl: i64, now: i64) -> bool {
        let Some(lease) = self.replicas.get_mut(&id).filter(|lease| lease.until > now) else {
            return false;
        };
        (lease.renewed_at, lease.until) = (now, now + ttl);
        true
    }

    pub(crate) fn set_draining(&mut self, id: ReplicaId, draining: bool) {
        if let Some(lease) = self.replicas.get_mut(&id) {
            lease.draining = draining;
        }
    }

    pub(crate) fn draining(&self, now: i64) -> u32 {
        let drains = self.replicas.values().filter(|lease| lease.draining && lease.until > now).count();
        u32::try_from(drains).unwrap_or(u32::MAX)
    }

    pub(crate) fn retire(&mut self, id: ReplicaId, now: i64) {
        if let Some(lease) = self.replicas.get_mut(&id).filter(|lease| lease.until > RETIRED) {
            (lease.renewed_at, lease.until) = (now, RETIRED);
        }
        self.sweep(id, i64::MAX, now);
    }

    pub(crate) fn sweep(&mut self, by: ReplicaId, window: i64, now: i64) -> u64 {
        if self.has(Defect::Unswept) {
            return 0;
        }
        let window = if self.has(Defect::NoReturnWindow) { 0 } else { window };
        let horizon = now.saturating_sub(window);
        let is_over = |lease: &Lease| {
            let superseded = lease.label.is_none() || lease.until == RETIRED;
            let over = lease.until == RETIRED || lease.until <= horizon;
            over && (superseded || !self.has(Defect::LockedOut))
        };
        let has_lease = self.replicas.get(&by).is_some_and(|lease| lease.until > now);
        let is_orphan = |row: &Row| has_lease && row.claimed_at <= horizon.saturating_sub(ORPHAN_GRACE);
        // Without a lease it sweeps nothing but what it held itself, once it has retired.
        let may_end =
            |row: &Row, lease: &Lease| has_lease || (row.replica_id == by && lease.until == RETIRED);
        let last_seen = |row: &Row| match self.replicas.get(&row.replica_id) {
            None => is_orphan(row).then_some(row.claimed_at),
            Some(lease) => {
                (may_end(row, lease) && is_over(lease)).then_some(row.claimed_at.max(lease.renewed_at))
            }
        };
        let doomed =
            self.sessions.iter().filter_map(|(key, row)| Some((key.clone(), row.clone(), last_seen(row)?)));
        let doomed: Vec<_> = doomed.collect();
        for (key, row, ended) in &doomed {
            self.end(key, row, *ended);
            self.tell(Operation::Left, (row.id, key), by, now);
        }
        let holds = |id: &ReplicaId| self.sessions.values().any(|row| row.replica_id == *id);
        let forgotten: Vec<_> = self
            .replicas
            .iter()
            .filter(|(id, lease)| has_lease && lease.until <= horizon && !holds(id))
            .map(|(id, _)| *id)
            .collect();
        for id in forgotten {
            self.replicas.remove(&id);
        }
        doomed.len() as u64
    }
}
