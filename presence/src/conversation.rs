//! What a door's words are to the runner: what a client says is understood and served, what happens to it is put into
//! words. One value per socket.

use crate::{
    engine::Engine,
    flows::connect::Refused,
    hub::{Mailbox, Seat},
    ledger::{Guest, Line},
};
use bytes::Bytes;
use presence_core::{close::Reason, ids::Fence, time::Time};
use serde::Serialize;
use std::sync::Arc;

/// What the client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Text(Bytes),
    Binary(Bytes),
}

/// What that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It asks for something; `serve` does it.
    Request,
    /// It asks for nothing, and shows that the client is there.
    Nothing,
    /// It is answered with this frame at once, and changes nothing: also before the client is in.
    Reply(Bytes),
    /// The client says good-bye.
    Goodbye,
    /// It ends the socket.
    Malformed(Malformed),
}

/// Why a frame is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub reason: Reason,
    /// Names the field; holds nothing of its value.
    pub detail: String,
}

/// What came of a request. The frames go to the client, and before any that wait in the mailbox where there is a session.
#[derive(Debug)]
pub enum Served {
    /// The client has a session.
    Connected { seated: Seated, frames: Vec<Bytes> },
    /// The first request is granted, and gives no session.
    Admitted { guest: Guest, expires: Time, frames: Vec<Bytes> },
    /// A later request is answered, and nothing changes.
    Answered(Vec<Bytes>),
    /// The first request is not granted.
    Refused(Refused),
}

/// A session in its classroom.
#[derive(Debug)]
pub struct Seated {
    pub seat: Seat,
    /// That this process answers for it.
    pub line: Line,
    /// When the token ends.
    pub expires: Time,
}

/// Who serves: this replica, under the fence of when the request was heard, for the socket of this mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    pub engine: &'a Arc<Engine>,
    pub fence: Fence,
    pub mailbox: &'a Arc<Mailbox>,
}

/// What an ending says besides its row in the close table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub detail: Option<String>,
    pub reconnect_after_ms: Option<u64>,
    /// Of `terminated`: why this replica lets go.
    pub reason: Option<&'static str>,
    /// The socket is closed right behind it.
    pub closes: bool,
}

pub trait Conversation: Send {
    fn hear(&mut self, said: Said) -> Heard;

    /// Does what the client asked for last.
    fn serve(&mut self, desk: Desk<'_>) -> impl Future<Output = Served> + Send;

    /// What goes before a close, or stands alone for `terminated`; nothing where the close says enough.
    fn ending(&mut self, reason: Reason, words: &Words) -> Vec<Bytes>;

    /// Whether the client closes by itself once it has heard this ending. It is given the time for it: some clients take a
    /// connection that is closed for them as one that was lost, and come back.
    fn leaves_by_itself(&self, _reason: Reason) -> bool {
        false
    }

    /// The socket is gone and nothing of it waits any longer. `left`: the client ended it by itself, or was told to stay
    /// away.
    fn over(&mut self, engine: &Engine, left: bool) -> impl Future<Output = ()> + Send;
}

/// A frame of JSON as bytes of UTF-8.
pub fn encode(frame: &impl Serialize) -> Bytes {
    serde_json::to_vec(frame).expect("a frame has string keys and finite numbers").into()
}
