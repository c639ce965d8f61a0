//! Where agents come in, how long things may take, and how a pod lets go of its agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, rules};

#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Doors {
    /// Web origins whose pages may connect, as a browser sends them, or `*`. When empty: any page that shows a token.
    #[schemars(length(max = 64), transform = rules::origins)]
    pub origins: Vec<String>,
    /// Networks of the proxies in front, in CIDR notation: what they say in `X-Forwarded-For` is believed.
    #[schemars(length(max = 64), transform = rules::networks)]
    pub trusted_proxies: Vec<String>,
    /// Connections of one pod at a time, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<i32>,
    /// The native WebSocket door.
    pub native: NativeDoor,
    /// The Socket.IO door of classroom apps. It needs `redis`.
    pub socketio: SocketIoDoor,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NativeDoor {
    /// Whether it is open.
    pub enabled: bool,
    /// Bytes that may wait for one socket; a client that reads slower is closed, and resumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 131_072, max = 67_108_864))]
    pub queue_bytes: Option<i32>,
    /// Frames that a client may send per second, on average. Up to 200 may come at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub frames_per_second: Option<i32>,
    /// Bytes of a message, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    // Not less than may be sent before a token was seen.
    #[schemars(range(min = 16_384, max = 1_048_576))]
    pub max_message: Option<i32>,
}

impl Default for NativeDoor {
    fn default() -> Self {
        Self { enabled: true, queue_bytes: None, frames_per_second: None, max_message: None }
    }
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A client's org and role are those of its token.
    #[default]
    Token,
    /// Those of its query are believed.
    Query,
}

#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SocketIoDoor {
    /// Whether it is open. When not said: where there is a `redis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whose word on a client's org and role is taken: that of its `Token`, or of its `Query`.
    pub identity: Identity,
    /// Bytes of a message, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    // Not less than may be sent before a token was seen.
    #[schemars(range(min = 65_536, max = 16_777_216))]
    pub max_payload: Option<i32>,
    /// Clients of one pod that poll at a time, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_polling: Option<i32>,
    /// Seats that a lesson gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub seats: Option<i32>,
}

/// Defaults are the server's own.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".leaseRenew",
    "duration(self.leaseRenew) + duration(self.leaseRenew) < duration(self.leaseTtl)",
    "must be less than half of leaseTtl, so that one renewal may fail: lower it, or raise leaseTtl",
)]))]
pub struct Timings {
    /// How long a session whose connection broke is kept for its agent.
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(300)))]
    pub leave_grace: Period,
    /// How long the agents of a dead pod have to come back before they are said to have left.
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(300)))]
    pub return_window: Period,
    /// How long a pod that is not heard of still counts as alive.
    #[schemars(transform = rules::within(Period::secs(1), Period::secs(300)))]
    pub lease_ttl: Period,
    /// How often a pod says that it lives.
    #[schemars(transform = rules::within(Period::millis(100), Period::secs(149)))]
    pub lease_renew: Period,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            leave_grace: Period::secs(5),
            return_window: Period::secs(5),
            lease_ttl: Period::secs(10),
            lease_renew: Period::secs(3),
        }
    }
}

// What a pod needs to end: `preStop`, `deadline`, and 11 s for what the server does after that.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".deadline",
    "duration(self.preStop) + duration(self.deadline) <= duration('3589s')",
    "must leave a pod no more than an hour to end: lower deadline or preStop until both are at most 3589s together",
)]))]
pub struct Drain {
    /// How long a pod that lets go of its agents waits for them to connect elsewhere. What is left then has left.
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(3589)))]
    pub deadline: Period,
    /// How many agents per second are told to connect elsewhere, by all pods together.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub agents_per_second: i32,
    /// How long a pod that is to end goes on as before, while load balancers learn that it ends.
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(600)))]
    pub pre_stop: Period,
    /// Deleting the resource waits until every pod has let go of its agents, within the deadline.
    pub on_delete: bool,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            deadline: Period::secs(30),
            agents_per_second: 1000,
            pre_stop: Period::secs(5),
            on_delete: false,
        }
    }
}
