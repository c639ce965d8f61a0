//! `socketio`: the Socket.IO door's limits and timers, and whom it believes.

use super::{Report, text::Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who says of which org and role a client is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentitySource {
    /// The token's claims.
    #[default]
    Token,
    /// The query. Only for backends whose tokens carry no more than `sub`.
    Query,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIo {
    /// Whether the door is open. Unless it is said: where there is a Redis, or a single replica alone (SQLite and an
    /// in-process bus).
    #[schemars(example = &true)]
    pub enabled: Option<bool>,
    /// `token`: a client's org and role are those of its token; `query`: those of its query are believed.
    pub identity: IdentitySource,
    /// How often a client is pinged.
    pub ping_interval: Period,
    /// How long to wait for the pong.
    pub ping_timeout: Period,
    /// How long a socket may stay without being let in.
    pub connect_timeout: Period,
    /// How long a client that polls has for its upgrade to WebSocket.
    pub upgrade_timeout: Period,
    /// Bytes that a client may send before it is let in, at most.
    #[schemars(range(min = 4096, max = 65536))]
    pub max_payload_before_auth: u32,
    /// Bytes of a message, or of the body of a request, after that, at most.
    #[schemars(range(min = 16384, max = 16_777_216))]
    pub max_payload: u32,
    /// Packets in the body of a request, at most.
    #[schemars(range(min = 1, max = 1024))]
    pub max_packets: u16,
    /// Seats that a lesson gets.
    #[schemars(range(min = 1, max = 1000))]
    pub seats: u16,
    /// Clients that poll, or wait for their upgrade, at a time, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_polling: u32,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            enabled: None,
            identity: IdentitySource::Token,
            ping_interval: Period::secs(25),
            ping_timeout: Period::secs(20),
            connect_timeout: Period::secs(10),
            upgrade_timeout: Period::secs(10),
            max_payload_before_auth: 64 * 1024,
            // A mebibyte and what goes around it: a client that sends one is answered, not cut off.
            max_payload: 1_200_000,
            max_packets: 64,
            seats: 50,
            max_polling: 10_000,
        }
    }
}

impl SocketIo {
    pub(super) fn check(&self, report: &mut Report) {
        report.within("socketio.ping_interval", self.ping_interval, Period::millis(200)..=Period::secs(3600));
        report.within("socketio.ping_timeout", self.ping_timeout, Period::millis(100)..=Period::secs(600));
        report.within(
            "socketio.connect_timeout",
            self.connect_timeout,
            Period::millis(100)..=Period::secs(60),
        );
        report.within(
            "socketio.upgrade_timeout",
            self.upgrade_timeout,
            Period::millis(100)..=Period::secs(60),
        );
        if self.ping_timeout >= self.ping_interval {
            let why = format!("not shorter than socketio.ping_interval, which is {}", self.ping_interval);
            report.bad("socketio.ping_timeout", why);
        }
        if self.max_payload_before_auth > self.max_payload {
            report.bad("socketio.max_payload_before_auth", "larger than socketio.max_payload");
        }
    }
}
