//! RFC 6455 on a TCP connection: tungstenite's framing, our own input and output.
//!
//! The socket is read and written without an intermediate stream, with small buffers, and the limits can be widened
//! once a client has shown a good token. See `docs/adr/0004-websocket.md`.

use crate::transport::{Broken, Incoming, Outgoing, Transport};
use bytes::Bytes;
use presence_core::close::Reason;
use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{
        CloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

/// How much is read at once; it is allocated for every socket.
const READ_BUFFER: usize = 512;
/// Queued frames are written together once there are this many bytes of them, or none is left to queue.
const WRITE_BUFFER: usize = 16 * 1024;

/// After so many bytes without a message the limits are looked at again, however much more is there to read.
const READ_AT_ONCE: usize = 32 * 1024;

/// How large a message may be, before and after the client has shown a good token.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub untrusted: usize,
    pub trusted: usize,
}

/// A WebSocket, from the server's side.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    protocol: WebSocketContext,
    limits: Limits,
    /// Bytes read since the last whole message: fragments without end are bounded by it, empty ones too.
    since_message: usize,
    /// The last write did not go out whole.
    blocked: bool,
    /// The close frame has been sent, for this reason.
    closing: Option<Reason>,
}

impl Socket {
    /// Takes over a connection after its handshake; `early` is what the client sent right behind it.
    pub fn new(tcp: TcpStream, early: Vec<u8>, limits: Limits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(usize::MAX)
            .max_message_size(Some(limits.untrusted))
            .max_frame_size(Some(limits.untrusted));
        let protocol = WebSocketContext::from_partially_read(early, Role::Server, Some(config));
        Self { tcp, protocol, limits, since_message: 0, blocked: false, closing: None }
    }

    /// Whether fragments have gone on for longer than any message may.
    fn fragments_without_end(&self) -> bool {
        let limit = self.protocol.get_config().max_message_size.unwrap_or(self.limits.trusted);
        self.since_message > 2 * limit + READ_BUFFER
    }

    fn understand(&mut self, read: Result<Message, Error>) -> Incoming {
        match read {
            Ok(message) => {
                self.since_message = 0;
                match message {
                    Message::Text(text) => Incoming::Text(text.into()),
                    Message::Binary(bytes) => Incoming::Binary(bytes),
                    Message::Frame(frame) => Incoming::Binary(frame.into_payload()),
                    Message::Ping(_) => Incoming::Ping,
                    Message::Pong(_) => Incoming::Pong,
                    Message::Close(_) => Incoming::PeerClosed,
                }
            }
            Err(Error::ConnectionClosed) => Incoming::PeerClosed,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Incoming::Violation(Reason::MessageTooBig)
            }
            Err(Error::Utf8(_)) => Incoming::Violation(Reason::InvalidPayload),
            Err(Error::Protocol(error)) => broken_or_violation(&error),
            Err(_) => Incoming::Broken,
        }
    }

    /// The client broke the protocol, and has been told so: it may never answer, and what it says is not understood.
    fn has_failed(&self) -> bool {
        self.closing.is_some_and(Reason::is_violation)
    }

    /// Ends our side of the connection, so that the client need not wait for it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx).map_err(|_| Broken)
    }

    /// Reads on until the client ends its side: closing a connection with unread input would destroy our last words.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let mut rubbish = [0; READ_BUFFER];
        let mut buffer = ReadBuf::new(&mut rubbish);
        loop {
            buffer.clear();
            let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Incoming::Broken);
            }
        }
    }

    fn written(&mut self, result: Result<(), Error>) -> Result<(), Broken> {
        match result {
            Ok(()) | Err(Error::ConnectionClosed) => self.blocked = false,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
            Err(_) => return Err(Broken),
        }
        Ok(())
    }
}

fn broken_or_violation(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> Incoming {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        ProtocolError::ResetWithoutClosingHandshake => Incoming::Broken,
        _ => Incoming::Violation(Reason::ProtocolError),
    }
}

impl Transport for Socket {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.has_failed() {
            return self.poll_discard(cx);
        }
        // `try_read` does not count against the task's budget: a client that never stops sending must.
        let progress = ready!(tokio::task::coop::poll_proceed(cx));
        loop {
            let mut stream = Stream::of(&self.tcp);
            let read = self.protocol.read(&mut stream);
            self.since_message += stream.read;
            match read {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.fragments_without_end() {
                        return Poll::Ready(Incoming::Violation(Reason::MessageTooBig));
                    }
                    if ready!(self.tcp.poll_read_ready(cx)).is_err() {
                        return Poll::Ready(Incoming::Broken);
                    }
                }
                other => {
                    progress.made_progress();
                    return Poll::Ready(self.understand(other));
                }
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.blocked { self.poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn send(&mut self, frame: Outgoing) {
        if self.closing.is_some() {
            return;
        }
        let message = match frame {
            Outgoing::Text(bytes) => Message::Frame(text(bytes)),
            Outgoing::Binary(bytes) => Message::Binary(bytes),
            Outgoing::Ping => Message::Ping(Bytes::new()),
            Outgoing::Close(reason) => {
                self.closing = Some(reason);
                let frame =
                    CloseFrame { code: CloseCode::from(reason.row().code), reason: reason.row().name.into() };
                Message::Close(Some(frame))
            }
        };
        let written = self.protocol.write(&mut Stream::of(&self.tcp), message);
        // A broken connection shows itself at the next flush.
        let _ = self.written(written);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let flushed = self.protocol.flush(&mut Stream::of(&self.tcp));
            self.written(flushed)?;
            if !self.blocked {
                return if self.has_failed() { self.poll_end(cx) } else { Poll::Ready(Ok(())) };
            }
            if ready!(self.tcp.poll_write_ready(cx)).is_err() {
                return Poll::Ready(Err(Broken));
            }
        }
    }

    fn trust(&mut self) {
        let trusted = self.limits.trusted;
        self.protocol.set_config(|config| {
            config.max_message_size = Some(trusted);
            config.max_frame_size = Some(trusted);
        });
    }
}

/// A finished text frame around bytes that are UTF-8 already: nothing is checked or copied again.
fn text(bytes: Bytes) -> Frame {
    Frame::message(bytes, OpCode::Data(Data::Text), true)
}

/// tungstenite's view of the connection: reads and writes that would block say so.
struct Stream<'a> {
    tcp: &'a TcpStream,
    read: usize,
}

impl<'a> Stream<'a> {
    const fn of(tcp: &'a TcpStream) -> Self {
        Self { tcp, read: 0 }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read >= READ_AT_ONCE {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.tcp.try_read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.try_write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
