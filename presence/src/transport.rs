//! What a door's codec offers the runner: a socket that is polled, never awaited, so that a client who does not read
//! cannot keep its own session from hearing anything else.

use bytes::Bytes;
use presence_core::close::Reason;
use std::task::{Context, Poll};

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Text(Bytes),
    Binary(Bytes),
    /// Answered by the transport already.
    Ping,
    Pong,
    /// A close frame.
    PeerClosed,
    /// The connection ended without one.
    Broken,
    /// The client broke the protocol or a limit.
    Violation(Reason),
}

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame; its bytes are UTF-8.
    Text(Bytes),
    Binary(Bytes),
    Ping,
    Close(Reason),
}

/// The connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// A socket of either door. All methods are polled from one task.
pub trait Transport: Send {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming>;

    /// Ready when `send` may be called: what was sent before has not filled the transport's own buffer.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Buffers one frame; several of them leave in one write.
    fn send(&mut self, frame: Outgoing);

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// From here on a client may send larger messages.
    fn trust(&mut self);
}
