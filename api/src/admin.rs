//! Bodies of the internal HTTP API that operate a replica, as in section 6 of `docs/PROTOCOL.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a replica is with letting go of its agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It takes whoever comes.
    Serving,
    /// It takes nobody, and tells those it has to connect elsewhere.
    Draining,
    /// It takes nobody and has nobody.
    Drained,
}

/// `GET /api/v1/stats`, and the answer to every change.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, on the wire as well")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// This process: another one under the same label has another id.
    pub replica: String,
    /// The place it runs in: a pod's name.
    pub label: String,
    pub state: State,
    /// Since when it is in this state. RFC 3339, UTC.
    pub since: String,
    /// The process has been told to end: there is no way back.
    pub ending: bool,
    /// Whether it asks for new agents, as far as it is up to its caller: `PUT /api/v1/accepting`.
    pub accepting: bool,
    /// Whether the bus can be reached. Without it everybody is served, and events wait in the store.
    #[serde(default = "reachable")]
    pub bus: bool,
    /// Sockets with a session.
    pub agents: u64,
    /// Sessions without a socket: their agents may still come back, or they are just being taken or given up.
    pub waiting: u64,
    /// How many were told to connect elsewhere since the last drain or shed began.
    pub told: u64,
    /// How many replicas share the rate of telling, this one included.
    pub sharing: u32,
    /// The last shed, unless a drain came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shed: Option<Shed>,
    /// Nothing is lost if this process ends now: it is drained, holds no session, and has published every event that it
    /// wrote. False where that cannot be known.
    pub safe_to_delete: bool,
}

/// A replica of before this was told says nothing of it, and nothing is to be made of that.
const fn reachable() -> bool {
    true
}

/// How a shed goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shed {
    /// How many were to be told.
    pub agents: u32,
    /// How many were.
    pub told: u32,
    /// How many of those told, now or by an earlier shed, have not gone. They may stay.
    pub stayed: u64,
    /// More will be told.
    pub under_way: bool,
}

/// `POST /api/v1/shed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShedRequest {
    /// How many agents to tell to connect elsewhere.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: u32,
}

/// `PUT /api/v1/accepting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepting {
    /// Whether `/readyz` may say that this replica wants new agents. Those that come all the same are taken.
    pub accepting: bool,
}
