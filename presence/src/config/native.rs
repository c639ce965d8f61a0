//! `native`: the WebSocket door's limits and timers.

use super::{Report, text::Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Native {
    /// Whether the door is open.
    pub enabled: bool,
    /// How long a socket may stay without its `connect_request`.
    pub auth_timeout: Period,
    /// How often a client is pinged.
    pub ping_interval: Period,
    /// How long to wait for the pong.
    pub pong_timeout: Period,
    /// Bytes of a message before `connect_success`, at most.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub max_message_before_auth: u32,
    /// Bytes of a message after `connect_success`, at most.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub max_message: u32,
    /// Sockets without a session at a time, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_unauthenticated: u32,
    /// Of those, from one address, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_unauthenticated_per_address: u32,
    /// Bytes that may wait for one socket; a client that reads slower is closed as `slow_consumer`.
    #[schemars(range(min = 131_072, max = 67_108_864))]
    pub queue_bytes: u32,
    /// Frames that a client may send per second, on average.
    #[schemars(range(min = 1, max = 100_000))]
    pub frames_per_second: u32,
    /// Frames that a client may send at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub frames_burst: u32,
}

impl Default for Native {
    fn default() -> Self {
        Self {
            enabled: true,
            auth_timeout: Period::secs(10),
            ping_interval: Period::secs(30),
            pong_timeout: Period::secs(5),
            max_message_before_auth: 16 * 1024,
            max_message: 64 * 1024,
            max_unauthenticated: 10_000,
            max_unauthenticated_per_address: 1_000,
            queue_bytes: 256 * 1024,
            frames_per_second: 50,
            frames_burst: 200,
        }
    }
}

impl Native {
    pub(super) fn check(&self, report: &mut Report) {
        report.within("native.auth_timeout", self.auth_timeout, Period::millis(100)..=Period::secs(60));
        report.within("native.ping_interval", self.ping_interval, Period::millis(200)..=Period::secs(3600));
        report.within("native.pong_timeout", self.pong_timeout, Period::millis(100)..=Period::secs(60));
        if self.pong_timeout >= self.ping_interval {
            let why = format!("not shorter than native.ping_interval, which is {}", self.ping_interval);
            report.bad("native.pong_timeout", why);
        }
        if self.max_message_before_auth > self.max_message {
            report.bad("native.max_message_before_auth", "larger than native.max_message");
        }
        if self.max_unauthenticated_per_address > self.max_unauthenticated {
            report.bad("native.max_unauthenticated_per_address", "larger than native.max_unauthenticated");
        }
        if self.frames_burst < self.frames_per_second {
            report.bad("native.frames_burst", "smaller than native.frames_per_second");
        }
    }
}
