//! The truth of who is present: sessions, their history, the events that tell of both, and the replicas that hold
//! them. Time in here is the store's own clock; callers say how long ago, never when.

use super::Fault;
use async_trait::async_trait;
use presence_api::event::Operation;
use presence_core::{
    ids::{AgentId, ClassroomId, Fence, ReplicaId, SessionId, SessionKey},
    page::Limit,
    replace::Holder,
    session::Held,
    time::UnixMicros,
};
use std::{fmt::Debug, time::Duration};

/// A socket asks for its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub key: SessionKey,
    pub replica_id: ReplicaId,
    /// The replica's when it heard the request.
    pub fence: Fence,
    /// The session the client says it had: it is handed over whole if it is still the live one of this key.
    pub resume: Option<SessionId>,
}

/// A committed claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    pub held: Held,
    /// Who held the key until now. `None`: a presence began, and `entered` is in the outbox.
    pub previous: Option<Holder>,
}

/// A session is given up. It ended `ago` before the store hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    pub held: Held,
    pub ago: Duration,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub session_id: SessionId,
    pub agent_id: AgentId,
}

/// Who is in a classroom: the first ones by session id, and how many there are in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    pub first: Vec<Present>,
    pub total: u64,
}

/// One stay, live or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    pub session_id: SessionId,
    pub agent_id: AgentId,
    pub entered_at: UnixMicros,
    pub left_at: Option<UnixMicros>,
}

/// Contract:
/// - A claim under a fence that is not its replica's any more, or of a replica whose lease has lapsed, is refused as
///   unavailable and changes nothing: whoever slept through its own death takes nothing from the living.
/// - `claim` is one atomic step. At most one live session per key, whoever races. The session id is kept when the
///   previous holder is this replica, a replica that drains or whose lease has lapsed, when the session is being shed,
///   or when `resume` names the live session; otherwise the old session moves to history and a new id is made. `entered` is written to the outbox in
///   the same step exactly when nobody held the key. The generation grows with every claim of a held key. A claim
///   repeated by the same replica after an unknown outcome is harmless.
/// - `release` acts only where id and generation are still live, as one atomic step: the row goes, history comes, `left`
///   is in the outbox. It returns whether it did. A stay never ends before it began, and the stays of one key never
///   overlap.
/// - `shed` marks sessions whose sockets were told to go elsewhere, by id and generation; the next claim clears it.
/// - Reads see every commit that was acknowledged before they began.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync {
    async fn claim(&self, claim: Claim) -> Result<Claimed, Fault>;
    async fn release(&self, release: Release) -> Result<bool, Fault>;
    async fn shed(&self, going: &[Held]) -> Result<(), Fault>;
    async fn find(&self, key: &SessionKey) -> Result<Option<Holder>, Fault>;
    /// The first `presence_core::page::SNAPSHOT_LIMIT` agents, and the count of all.
    async fn roster(&self, classroom: &ClassroomId) -> Result<Roster, Fault>;
    /// The agents with a session id above `after`, in its order.
    async fn agents(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Present>, Fault>;
    /// Live sessions per classroom; a classroom without any is left out.
    async fn counts(&self, classrooms: &[ClassroomId]) -> Result<Vec<(ClassroomId, u64)>, Fault>;
    /// Stays with a session id above `after`, live and ended, in its order.
    async fn attendance(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Stay>, Fault>;
}

/// An event that waits to be published, or was not long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Grows; events of one key are published in its order.
    pub position: i64,
    pub operation: Operation,
    pub session_id: SessionId,
    pub key: SessionKey,
}

/// Which pending events to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Those that this replica wrote, and whatever must be published before them: older pending events of the same
    /// keys, whoever wrote them.
    Of(ReplicaId),
    /// Any that have waited longer than this: their writer may be dead.
    OlderThan(Duration),
}

/// Contract: `due` returns unpublished events, at most `limit`, in order of position, such that no unpublished event of
/// the same key with a smaller position is left out. `published` may be repeated. Published events stay for the
/// store's retention (10 minutes), then `trim` removes them.
#[async_trait]
pub trait Outbox: Debug + Send + Sync {
    async fn due(&self, which: Due, limit: u32) -> Result<Vec<Pending>, Fault>;
    async fn published(&self, positions: &[i64]) -> Result<(), Fault>;
    /// Removes published events past their retention; returns how many.
    async fn trim(&self) -> Result<u64, Fault>;
    /// How many events wait, and how long the oldest has.
    async fn backlog(&self) -> Result<(u64, Duration), Fault>;
}

/// A process that holds sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub id: ReplicaId,
    /// The name of the place it runs in (a pod's name): whoever registers it again has outlived the former holder.
    pub label: String,
    /// Where other replicas reach its internal API.
    pub address: String,
}

/// Where a replica that holds sockets is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    pub address: String,
    /// Its lease runs.
    pub lives: bool,
}

/// Contract: a lease runs by the store's clock. Registering a label ends the lease of its former holder at once; each
/// registration of an id gives it a higher fence, and does not stop its draining.
/// `sweep` moves the sessions of replicas whose lease lapsed more than `return_window` ago to history, ending when the
/// replica was last heard of (the lease renewed, or this session claimed), with one `left` each, and forgets,
/// a day later, those replicas (until then a fence does not come back); replicas sweeping at once never do it twice. The
/// events count as written by the sweeper. It moves nothing unless the sweeper's own lease runs as it does so.
#[async_trait]
pub trait Replicas: Debug + Send + Sync {
    async fn register(&self, replica: &Replica, ttl: Duration) -> Result<Fence, Fault>;
    /// False: the lease had lapsed or the replica is unknown, and it is not renewed.
    async fn renew(&self, id: ReplicaId, ttl: Duration) -> Result<bool, Fault>;
    /// Whether the replica lets go: while it does, a claim of what it holds is a handover. It may be repeated.
    async fn set_draining(&self, id: ReplicaId, draining: bool) -> Result<(), Fault>;
    /// Where the replica is reached; `None`: it retired, or is not known.
    async fn whereabouts(&self, id: ReplicaId) -> Result<Option<Whereabouts>, Fault>;
    /// Those of `ids` that are gone for good: retired, unknown, or lapsed longer than `return_window` ago. Like a sweep
    /// it finds nobody gone unless the asker's own lease runs.
    async fn gone(
        &self,
        by: ReplicaId,
        ids: &[ReplicaId],
        return_window: Duration,
    ) -> Result<Vec<ReplicaId>, Fault>;
    /// How many replicas with a lease drain now: they share one rate.
    async fn draining(&self) -> Result<u32, Fault>;
    /// The live sessions that the replica holds, as far as the store knows.
    async fn held(&self, id: ReplicaId) -> Result<Vec<Held>, Fault>;
    /// Ends the lease now; what the replica still holds is swept at once, whatever the return window.
    async fn retire(&self, id: ReplicaId) -> Result<(), Fault>;
    async fn sweep(&self, by: ReplicaId, return_window: Duration) -> Result<u64, Fault>;
}

/// What the store holds against an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// As in `docs/ARCHITECTURE.md`: `I1`.
    pub invariant: &'static str,
    pub what: String,
}

/// Contract: reads only, in one snapshot, and needs no lease. `settled` is how long what is eventual may take. At most
/// `limit` findings of each invariant.
#[async_trait]
pub trait Audit: Debug + Send + Sync {
    async fn audit(&self, settled: Duration, limit: u32) -> Result<Vec<Finding>, Fault>;
}

/// Everything that one database keeps for us.
pub trait Store: SessionStore + Outbox + Replicas + Audit {}

impl<T: SessionStore + Outbox + Replicas + Audit> Store for T {}
