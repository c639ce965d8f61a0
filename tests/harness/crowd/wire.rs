//! One socket of one client, whose every frame goes into the history as it is heard.
//!
//! Nothing is read unless somebody asks for the next frame, so a client that does not read is one that does not ask.

use super::app::{AppLine, Came, Guise};
use crate::{
    History,
    history::now,
    socket::{Event, Frame, understood},
};
use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use presence_api::{
    event::ENTITY,
    frames::{ServerFrame, SessionError},
    history::{About, Act, Side},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// A connection that does not even take a good-bye for so long is broken.
const GOOD_BYE: Duration = Duration::from_millis(2_500);
/// So little that a client that does not read soon holds the server up.
const RECEIVE_BUFFER: u32 = 64 * 1024;

/// Which door it leads to.
#[derive(Debug)]
enum Line {
    Native(Box<WebSocketStream<TcpStream>>),
    App(Box<AppLine>),
}

#[derive(Debug)]
pub(super) struct Wire {
    line: Line,
    /// Its number among those of its actor.
    pub(super) number: u64,
    actor: String,
    history: History,
    /// Whose socket this is, and where.
    classroom: String,
    alive_at: Instant,
    /// A server that sent nothing for so long, not even a ping, is taken for dead.
    silence: Duration,
    /// When the client said good-bye.
    parting: Option<i64>,
    /// It has a session, or as an app was let in, and its end is not written yet.
    counts: bool,
}

/// What a client makes of a frame.
#[derive(Debug)]
pub(super) enum Heard {
    Welcome(presence_api::frames::Connected),
    /// An app was let in, as this socket.
    LetIn(String),
    /// An app was not let in, or not into its lesson, for this reason.
    Refused(String),
    /// Everything up to here is known.
    UpTo(u64),
    Resync(u64),
    /// Told how it ends, or (`terminated`) to go elsewhere.
    Told(SessionError),
    /// A sign of life, or nothing that matters.
    Nothing,
    /// The socket is over, with this code if there was one.
    Over(Option<u16>),
}

impl Wire {
    pub(super) async fn open(
        to: SocketAddr,
        number: u64,
        actor: &str,
        classroom: &str,
        history: &History,
    ) -> Result<Self> {
        let request = format!("ws://{to}/ws").into_client_request().context("make a request")?;
        let socket = TcpSocket::new_v4().context("make a socket")?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER).context("size a socket's buffer")?;
        let tcp = socket.connect(to).await.context("connect")?;
        tcp.set_nodelay(true).context("set TCP_NODELAY")?;
        let (stream, _) = client_async(request, tcp).await.context("shake hands")?;
        Ok(Self::of(Line::Native(Box::new(stream)), number, actor, classroom, history))
    }

    /// The same at the Socket.IO door.
    pub(super) async fn open_app(
        to: SocketAddr,
        number: u64,
        (actor, classroom): (&str, &str),
        guise: &Guise,
        history: &History,
    ) -> Result<Self> {
        let line = AppLine::open(to, guise).await?;
        Ok(Self::of(Line::App(Box::new(line)), number, actor, classroom, history))
    }

    fn of(line: Line, number: u64, actor: &str, classroom: &str, history: &History) -> Self {
        Self {
            line,
            number,
            actor: actor.to_owned(),
            history: history.clone(),
            classroom: classroom.to_owned(),
            alive_at: Instant::now(),
            silence: Duration::MAX,
            parting: None,
            counts: false,
        }
    }

    /// From here on a server is given up that says nothing for so long.
    pub(super) const fn bearing(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    pub(super) async fn say(&mut self, message: Message) -> Result<()> {
        match &mut self.line {
            Line::Native(stream) => stream.send(message).await.context("say something"),
            Line::App(line) => line.say(message.to_text().context("an app says text")?).await,
        }
    }

    /// What it is, of an app.
    pub(super) const fn app(&self) -> Option<&AppLine> {
        match &self.line {
            Line::App(line) => Some(line),
            Line::Native(_) => None,
        }
    }

    /// From here on its end is part of the history.
    pub(super) const fn is_let_in(&mut self) {
        self.counts = true;
    }

    /// What comes next. Nothing is lost when it is dropped while it waits.
    pub(super) async fn hear(&mut self) -> Heard {
        let line = &mut self.line;
        let next = async {
            match line {
                Line::Native(stream) => {
                    let message = stream.next().await?.ok()?;
                    Some(understood(&message).map_or(Came::Nothing, Came::Frame))
                }
                Line::App(line) => line.next().await.ok(),
            }
        };
        let read = tokio::time::timeout(self.silence.saturating_sub(self.alive_at.elapsed()), next).await;
        if let Ok(Some(came)) = read {
            self.alive_at = Instant::now();
            return match came {
                Came::Frame(frame) => self.make_of(frame),
                Came::LetIn(sid) => Heard::LetIn(sid),
                Came::Joined(connected) => Heard::Welcome(connected),
                Came::Refused(code) => Heard::Refused(code),
                Came::Nothing => Heard::Nothing,
            };
        }
        self.over(Side::Broken, None);
        Heard::Over(None)
    }

    fn make_of(&mut self, frame: Frame) -> Heard {
        let socket = self.number;
        match frame {
            Frame::Event(event) => {
                let (seq, about) = (event.seq, self.about(&event));
                self.history.now(&self.actor, Act::Heard { socket, seq, id: event.id, about });
                Heard::UpTo(seq)
            }
            Frame::Said(ServerFrame::ConnectSuccess(connected)) => {
                self.counts = true;
                Heard::Welcome(connected)
            }
            Frame::Said(ServerFrame::Resync(snapshot)) => {
                let (seq, agents_total) = (snapshot.seq, snapshot.agents_total);
                self.history.now(&self.actor, Act::Resync { socket, seq, agents_total });
                Heard::Resync(seq)
            }
            Frame::Said(
                ServerFrame::UnrecoverableSessionError(error) | ServerFrame::RecoverableSessionError(error),
            ) => {
                let (reason, reconnect_after_ms) = (error.kind.clone(), error.reconnect_after_ms);
                self.history.now(&self.actor, Act::Told { socket, reason, reconnect_after_ms });
                Heard::Told(error)
            }
            Frame::Closed { code, .. } => {
                let by = if self.parting.is_some() { Side::Client } else { Side::Server };
                self.over(by, Some(code));
                Heard::Over(Some(code))
            }
            Frame::Gone => {
                self.over(Side::Broken, None);
                Heard::Over(None)
            }
        }
    }

    /// Of our own events the client knows whom they are about; of others', what their payload says.
    fn about(&self, event: &Event) -> About {
        let ours = event.id.entity_type == ENTITY;
        let agent = event.payload["agent_id"].as_str().filter(|_| ours).map(str::to_owned);
        let classroom = event.payload["classroom_id"].as_str().unwrap_or(&self.classroom);
        About {
            classroom_id: classroom.to_owned(),
            sender: agent.clone(),
            about: agent,
            receiver: event.payload["for"].as_str().map(str::to_owned),
        }
    }

    /// Once only: whatever ended it first. One without a session is no part of the history.
    fn over(&mut self, by: Side, code: Option<u16>) {
        if !std::mem::take(&mut self.counts) {
            return;
        }
        let act = Act::Closed { socket: self.number, by, code };
        let began = self.parting.unwrap_or_else(now);
        self.history.since(began, &self.actor, act);
    }

    /// Drops the connection without a word.
    pub(super) fn vanish(mut self) {
        self.over(Side::Broken, None);
    }

    /// Says good-bye; what comes until the server has said it too is still heard.
    pub(super) async fn part(&mut self) {
        self.parting.get_or_insert_with(now);
        // One that cannot be told is broken, which shows when it is read.
        let good_bye = async {
            match &mut self.line {
                Line::Native(stream) => stream.send(Message::Close(None)).await.context("say good-bye"),
                Line::App(line) => line.part().await,
            }
        };
        let _ = tokio::time::timeout(GOOD_BYE, good_bye).await;
    }

    /// Hears it out, for so long at the most.
    pub(super) async fn hear_out(mut self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(until, self.hear()).await {
                Ok(Heard::Over(_)) => return,
                Ok(_) => {}
                Err(_) => return self.vanish(),
            }
        }
    }
}
