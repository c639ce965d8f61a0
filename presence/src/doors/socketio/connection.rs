//! A connection of Engine.IO as one transport, whatever carries it: requests that poll, a WebSocket, or first those and
//! then this.
//!
//! While a client polls the transport is ready only when a request waits for an answer. So what is to be sent stays in
//! the mailbox, and the mailbox's limit is the limit.

use super::{
    engine_packet::{CLOSE, Malformed, PING, Packet, binary, decode, encode_body},
    exchange::Upgraded,
    registry::Entry,
};
use crate::{
    doors::websocket::Socket,
    transport::{Broken, Incoming, Outgoing, Transport},
};
use bytes::Bytes;
use presence_core::close::Reason;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::OwnedSemaphorePermit;

#[derive(Debug)]
pub struct Connection(Wire);

#[expect(clippy::large_enum_variant, reason = "nearly all of them are WebSockets in the end")]
#[derive(Debug)]
enum Wire {
    Polling(Polling),
    WebSocket {
        socket: Socket,
        /// Its place among the connections of this process.
        _place: Arc<OwnedSemaphorePermit>,
    },
}

#[derive(Debug)]
struct Polling {
    entry: Entry,
    /// The next answer, as far as it has come.
    gathered: Vec<Bytes>,
    /// How long it is.
    bytes: usize,
    /// An answer of so many bytes is full.
    full: usize,
    /// The answer is the last one.
    closing: Option<Reason>,
    trusted: bool,
}

impl Connection {
    /// One that polls; an answer of `full` bytes takes no more packets.
    pub(super) fn polling(entry: Entry, full: usize) -> Self {
        Self(Wire::Polling(Polling {
            entry,
            gathered: Vec::new(),
            bytes: 0,
            full,
            closing: None,
            trusted: false,
        }))
    }

    /// One that begins with its WebSocket, on which `open` is said first.
    pub(super) fn websocket(upgraded: Upgraded, open: Bytes) -> Self {
        let Upgraded { mut socket, place } = upgraded;
        socket.send(Outgoing::Text(open));
        Self(Wire::WebSocket { socket, _place: place })
    }

    /// Changes over to the WebSocket, if there is one by now. What has been gathered goes first.
    fn change_over(&mut self) -> &mut Wire {
        if let Wire::Polling(polling) = &mut self.0
            && let Some(Upgraded { mut socket, place }) = polling.entry.exchange().take_upgraded()
        {
            if polling.trusted {
                socket.trust();
            }
            for packet in polling.gathered.drain(..) {
                socket.send(Outgoing::Text(packet));
            }
            if let Some(reason) = polling.closing {
                socket.send(Outgoing::Close(reason));
            }
            self.0 = Wire::WebSocket { socket, _place: place };
        }
        &mut self.0
    }
}

impl Polling {
    fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<Result<(), Broken>> {
        if self.bytes >= self.full {
            ready!(self.poll_flush(cx))?;
        }
        self.entry.exchange().poll_waiting(cx)
    }

    fn send(&mut self, frame: Outgoing) {
        let packet = match frame {
            Outgoing::Text(packet) => packet,
            Outgoing::Binary(bytes) => binary(&bytes),
            Outgoing::Ping => PING,
            Outgoing::Close(reason) => {
                self.closing = Some(reason);
                return;
            }
        };
        self.bytes += packet.len() + 1;
        self.gathered.push(packet);
    }

    fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), Broken>> {
        let exchange = self.entry.exchange();
        while !self.gathered.is_empty() || self.closing.is_some() {
            // What found a GET when it was gathered may have to wait for another: an upgrade lets go of those that wait.
            ready!(exchange.poll_waiting(cx))?;
            // A close is an answer of its own: clients act on it before they act on what stands beside it.
            let closes = self.gathered.is_empty();
            let answered = exchange.answer(if closes { CLOSE } else { encode_body(&self.gathered) });
            if answered {
                (self.gathered, self.bytes) = (Vec::new(), 0);
            }
            if answered && closes {
                self.closing = None;
                exchange.close();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for Connection {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        match self.change_over() {
            Wire::Polling(polling) => Poll::Ready(match ready!(polling.entry.exchange().poll_packet(cx)) {
                Ok(packet) => heard(packet),
                Err(end) => end,
            }),
            Wire::WebSocket { socket, .. } => Poll::Ready(match ready!(socket.poll_incoming(cx)) {
                Incoming::Text(frame) => decode(&frame).map_or_else(violation, heard),
                // Of the WebSocket's own; the pong that counts is a packet.
                Incoming::Pong => Incoming::Ping,
                other => other,
            }),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.change_over() {
            Wire::Polling(polling) => polling.poll_ready(cx),
            Wire::WebSocket { socket, .. } => socket.poll_ready(cx),
        }
    }

    fn send(&mut self, frame: Outgoing) {
        match &mut self.0 {
            Wire::Polling(polling) => polling.send(frame),
            Wire::WebSocket { socket, .. } => socket.send(match frame {
                Outgoing::Ping => Outgoing::Text(PING),
                other => other,
            }),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.change_over() {
            Wire::Polling(polling) => polling.poll_flush(cx),
            Wire::WebSocket { socket, .. } => socket.poll_flush(cx),
        }
    }

    fn trust(&mut self) {
        match &mut self.0 {
            Wire::Polling(polling) => {
                polling.trusted = true;
                polling.entry.exchange().trust();
            }
            Wire::WebSocket { socket, .. } => socket.trust(),
        }
    }
}

fn heard(packet: Packet) -> Incoming {
    match packet {
        Packet::Message(text) => Incoming::Text(text),
        Packet::Binary(bytes) => Incoming::Binary(bytes),
        Packet::Pong => Incoming::Pong,
        Packet::Close => Incoming::PeerClosed,
        // There is nothing to upgrade; it counts as any frame does.
        Packet::Upgrade | Packet::Noop => Incoming::Ping,
        // Only a WebSocket that is tried is probed.
        Packet::Probe => Incoming::Violation(Reason::ProtocolError),
    }
}

/// Why a connection is closed whose client says this.
pub(super) fn violation(malformed: Malformed) -> Incoming {
    Incoming::Violation(reason(malformed))
}

pub(super) const fn reason(malformed: Malformed) -> Reason {
    match malformed {
        Malformed::NotUtf8 => Reason::InvalidPayload,
        _ => Reason::ProtocolError,
    }
}
