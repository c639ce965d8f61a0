//! A well-behaved WebSocket client: it answers pings whatever the test does, and hands on what it hears in order.
//!
//! Expectations are strict: the next frame is the expected one, or the test fails and shows all that was heard. So
//! that something did not happen is shown by what happened after it.

use crate::{tokens::agent_id, wait};
use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use presence_api::{
    event::EventId,
    frames::{ClientFrame, ConnectRequest, Connected, ServerFrame, SessionError, Snapshot},
};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

/// Frames that wait for the test; when it is full, the client stops reading.
const UNREAD: usize = 16 * 1024;

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Said(ServerFrame),
    Event(Event),
    Closed {
        code: u16,
        reason: String,
    },
    /// The connection ended without a close frame, or after it.
    Gone,
}

/// A classroom event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: EventId,
    pub payload: Value,
    pub seq: u64,
}

#[derive(Debug)]
pub struct Socket {
    who: String,
    incoming: mpsc::Receiver<Frame>,
    outgoing: mpsc::Sender<Message>,
    /// All frames so far, for whoever reads why a test failed.
    heard: Vec<String>,
    /// Ends the connection without a word when it is dropped.
    pump: JoinSet<()>,
}

/// A handshake that the server did not answer with a socket: the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server refused the handshake with {0}")]
pub struct Refused(pub u16);

impl Socket {
    pub async fn open(who: &str, to: SocketAddr) -> Result<Self> {
        Self::open_with(who, to, &[]).await
    }

    /// Opens a socket with more headers; a server that refuses is a `Refused`.
    pub async fn open_with(who: &str, to: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self> {
        let mut request = format!("ws://{to}/ws").into_client_request().context("make a request")?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).context("a header's value")?);
        }
        let shaking = async {
            let tcp = TcpStream::connect(to).await.context("connect")?;
            tcp.set_nodelay(true).context("set TCP_NODELAY")?;
            match client_async(request, tcp).await {
                Ok((stream, _)) => Ok(stream),
                Err(Error::Http(response)) => Err(Refused(response.status().as_u16()).into()),
                Err(error) => Err(anyhow::Error::from(error).context("shake hands")),
            }
        };
        let stream = wait::within("the WebSocket handshake", shaking).await??;
        let ((heard, incoming), (outgoing, to_say)) = (mpsc::channel(UNREAD), mpsc::channel(16));
        let mut tasks = JoinSet::new();
        tasks.spawn(pump(stream, heard, to_say));
        Ok(Self { who: who.to_owned(), incoming, outgoing, heard: vec![], pump: tasks })
    }

    pub async fn send(&self, message: Message) -> Result<()> {
        self.outgoing.send(message).await.ok().context("the connection is gone")
    }

    pub async fn say(&self, text: &str) -> Result<()> {
        self.send(Message::text(text)).await
    }

    pub async fn ask(&self, request: &ConnectRequest) -> Result<()> {
        let frame = ClientFrame::ConnectRequest(request.clone());
        self.say(&serde_json::to_string(&frame).context("write a frame")?).await
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self) -> Result<Frame> {
        let waited = wait::within("the next frame", self.incoming.recv()).await;
        let frame = waited.with_context(|| self.so_far())?.unwrap_or(Frame::Gone);
        self.heard.push(format!("{frame:?}"));
        Ok(frame)
    }

    fn so_far(&self) -> String {
        let heard = if self.heard.is_empty() { "nothing".into() } else { self.heard.join("\n    ") };
        format!("{} heard so far:\n    {heard}", self.who)
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        bail!("{} expected {expected}; {}", self.who, self.so_far())
    }

    pub async fn expect_connected(&mut self) -> Result<Connected> {
        match self.next().await? {
            Frame::Said(ServerFrame::ConnectSuccess(connected)) => Ok(connected),
            _ => self.unexpected("connect_success"),
        }
    }

    pub async fn expect_resync(&mut self) -> Result<Snapshot> {
        match self.next().await? {
            Frame::Said(ServerFrame::Resync(snapshot)) => Ok(snapshot),
            _ => self.unexpected("resync"),
        }
    }

    pub async fn expect_event(&mut self) -> Result<Event> {
        match self.next().await? {
            Frame::Event(event) => Ok(event),
            _ => self.unexpected("an event"),
        }
    }

    /// The next frame is our own event of this operation and agent.
    pub async fn expect(&mut self, operation: &str, agent_id: &str) -> Result<Event> {
        match self.next().await? {
            Frame::Event(event) if event.is(operation, agent_id) => Ok(event),
            _ => self.unexpected(&format!("{operation} of {agent_id}")),
        }
    }

    /// Whether it hears an account enter before its end.
    pub async fn is_told_of(&mut self, account: &str) -> Result<bool> {
        loop {
            match self.next().await? {
                Frame::Event(event) if event.is("entered", &agent_id(account)) => return Ok(true),
                Frame::Gone => return Ok(false),
                Frame::Event(_) | Frame::Said(_) | Frame::Closed { .. } => {}
            }
        }
    }

    /// An error frame of this type that is worth another try, and the socket may stay open.
    pub async fn expect_recoverable(&mut self, kind: &str) -> Result<SessionError> {
        match self.next().await? {
            Frame::Said(ServerFrame::RecoverableSessionError(error)) if error.kind == kind => Ok(error),
            _ => self.unexpected(&format!("a recoverable {kind}")),
        }
    }

    /// An error frame of this type, and then the close with this code.
    pub async fn expect_ending(&mut self, kind: &str, code: u16) -> Result<SessionError> {
        let error = match self.next().await? {
            Frame::Said(
                ServerFrame::UnrecoverableSessionError(error) | ServerFrame::RecoverableSessionError(error),
            ) if error.kind == kind => error,
            _ => return self.unexpected(&format!("an ending as {kind}")),
        };
        self.expect_close(code).await?;
        Ok(error)
    }

    pub async fn expect_close(&mut self, code: u16) -> Result<()> {
        match self.next().await? {
            Frame::Closed { code: found, .. } if found == code => {}
            _ => return self.unexpected(&format!("a close with {code}")),
        }
        match self.next().await? {
            Frame::Gone => Ok(()),
            _ => self.unexpected("the end of the connection"),
        }
    }

    /// Says good-bye, and waits until the server has said it too.
    pub async fn close(mut self) -> Result<()> {
        self.send(good_bye()).await?;
        loop {
            match self.next().await? {
                Frame::Closed { code, .. } => ensure!(code == 1000 || code == 1005, "{}", self.so_far()),
                Frame::Gone => return Ok(()),
                Frame::Said(_) | Frame::Event(_) => {}
            }
        }
    }

    /// Breaks the connection without a close frame.
    pub async fn vanish(mut self) {
        self.pump.shutdown().await;
    }
}

impl Event {
    pub fn is(&self, operation: &str, agent_id: &str) -> bool {
        self.id.entity_type == "agent"
            && self.id.operation == operation
            && self.payload["agent_id"] == agent_id
            && self.payload["label"] == operation
    }
}

/// A close frame without a code, as a browser sends it.
pub const fn good_bye() -> Message {
    Message::Close(None)
}

/// Reads for as long as there is something to read, so that pings are answered; writes what the test says.
async fn pump(
    mut stream: WebSocketStream<TcpStream>,
    heard: mpsc::Sender<Frame>,
    mut to_say: mpsc::Receiver<Message>,
) {
    loop {
        tokio::select! {
            Some(message) = to_say.recv() => {
                // A connection that cannot be written to shows itself at the next read.
                let _ = stream.send(message).await;
            }
            read = stream.next() => {
                let frame = match read {
                    Some(Ok(message)) => understood(&message),
                    Some(Err(_)) | None => Some(Frame::Gone),
                };
                let ended = frame == Some(Frame::Gone);
                if let Some(frame) = frame {
                    // Nobody listens any more when the test is over.
                    let _ = heard.send(frame).await;
                }
                if ended {
                    return;
                }
            }
        }
    }
}

/// What a message says; none: a ping, a pong.
pub(crate) fn understood(message: &Message) -> Option<Frame> {
    match message {
        Message::Text(text) => Some(
            frame(text)
                .unwrap_or_else(|error| Frame::Closed { code: 0, reason: format!("{error:#}: {text}") }),
        ),
        Message::Close(Some(close)) => {
            Some(Frame::Closed { code: close.code.into(), reason: close.reason.to_string() })
        }
        Message::Close(None) => Some(Frame::Closed { code: 1005, reason: String::new() }),
        Message::Binary(bytes) => {
            Some(Frame::Closed { code: 0, reason: format!("{} bytes of binary", bytes.len()) })
        }
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
    }
}

fn frame(text: &str) -> Result<Frame> {
    let value: Value = serde_json::from_str(text).context("a frame is JSON")?;
    if value.get("type").is_some() {
        return Ok(Frame::Said(serde_json::from_value(value).context("a frame is known")?));
    }
    let id = serde_json::from_value(value["id"].clone()).context("an event has an id")?;
    let seq = value["seq"].as_u64().context("an event has its position")?;
    Ok(Frame::Event(Event { id, payload: value["payload"].clone(), seq }))
}
