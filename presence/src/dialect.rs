//! What a door's words are to the runner: the first frame becomes a request, a welcome and an ending become frames.

use crate::flows::connect::{Connected, Request};
use bytes::Bytes;
use presence_api::frames::ServerFrame;
use presence_core::close::Reason;
use std::fmt::Debug;

/// Why a first frame is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub reason: Reason,
    /// Names the field; holds nothing of its value.
    pub detail: String,
}

/// What an ending says besides its row in the close table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub detail: Option<String>,
    pub reconnect_after_ms: Option<u64>,
    /// Of `terminated`: why this replica lets go.
    pub reason: Option<&'static str>,
}

pub trait Dialect: Debug + Send + Sync {
    /// Parses the first text frame.
    fn parse(&self, text: &[u8]) -> Result<Request, Malformed>;

    /// What a client hears first: success, and whatever brings it up to date.
    fn welcome(&self, connected: &Connected) -> Vec<Bytes>;

    /// The frame that goes before a close, or stands alone for `terminated`; none where the table has none.
    fn ending(&self, reason: Reason, words: &Words) -> Option<Bytes>;
}

/// A frame of the native door as bytes of UTF-8.
pub fn encode(frame: &ServerFrame) -> Bytes {
    serde_json::to_vec(frame).expect("a frame has string keys and finite numbers").into()
}
