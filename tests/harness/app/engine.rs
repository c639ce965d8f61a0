//! Engine.IO v4 as a client speaks it: one connection over WebSocket, over polling, or over the one and then the other.
//! It answers pings whatever the test does, and hands on what it hears in order.

use super::{
    Opening, Way,
    requests::{Polling, Stream, websocket},
};
use crate::wait;
use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

/// An Engine.IO packet: its digit and what follows, or the bytes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

/// What the connection tells the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    Frame(Frame),
    /// A close frame with this code, or (0) a close packet.
    Closed(u16),
    /// The connection is over.
    Gone(String),
}

#[derive(Debug)]
pub(super) enum Saying {
    Frame(Frame),
    /// Ends the connection in order.
    Close,
}

/// What the server says of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    pub sid: String,
    pub upgrades: Vec<String>,
    pub ping_interval: u64,
    pub ping_timeout: u64,
    pub max_payload: u64,
}

impl Handshake {
    fn read(frame: &Frame) -> Result<Self> {
        let Frame::Text(text) = frame else { bail!("the first packet is binary") };
        let json = text.strip_prefix('0').with_context(|| format!("the first packet is no open: {text}"))?;
        serde_json::from_str(json).with_context(|| format!("read the handshake {json}"))
    }
}

#[derive(Debug)]
pub struct Engine {
    pub handshake: Handshake,
    incoming: mpsc::Receiver<Signal>,
    outgoing: mpsc::Sender<Saying>,
    upgraded: watch::Receiver<bool>,
    /// Ends the connection without a word when it is dropped.
    pump: JoinSet<()>,
}

/// What the client's task works with.
struct Pump {
    to: SocketAddr,
    opening: Opening,
    sid: String,
    heard: mpsc::Sender<Signal>,
    to_say: mpsc::Receiver<Saying>,
    upgraded: watch::Sender<bool>,
}

impl Engine {
    /// A server that refuses is a `Refused`.
    pub async fn open(to: SocketAddr, opening: &Opening) -> Result<Self> {
        let (heard, incoming) = mpsc::channel(opening.unread);
        let (outgoing, to_say) = mpsc::channel(16);
        let (upgrading, upgraded) = watch::channel(false);
        let pump = |sid: &str| Pump {
            to,
            opening: opening.clone(),
            sid: sid.to_owned(),
            heard,
            to_say,
            upgraded: upgrading,
        };
        let mut tasks = JoinSet::new();
        let handshake = if opening.way == Way::WebSocket {
            let mut stream = websocket(to, opening, None).await?;
            let first = wait::within("the handshake", next_frame(&mut stream)).await??;
            let handshake = Handshake::read(&first)?;
            tasks.spawn(pump(&handshake.sid).over_websocket(stream));
            handshake
        } else {
            let mut polling = Polling::new(to, opening, None)?;
            let mut frames = wait::within("the handshake", polling.get()).await??;
            ensure!(!frames.is_empty(), "the handshake is empty");
            let handshake = Handshake::read(&frames.remove(0))?;
            polling.name(&handshake.sid);
            tasks.spawn(pump(&handshake.sid).over_polling(polling, frames));
            handshake
        };
        Ok(Self { handshake, incoming, outgoing, upgraded, pump: tasks })
    }

    pub async fn send(&self, frame: Frame) -> Result<()> {
        self.outgoing.send(Saying::Frame(frame)).await.ok().context("the connection is gone")
    }

    pub async fn next(&mut self) -> Result<Signal> {
        wait::within("the next packet", self.hear()).await
    }

    /// What comes next, however long that takes.
    pub async fn hear(&mut self) -> Signal {
        self.incoming.recv().await.unwrap_or_else(|| Signal::Gone("it was over before".into()))
    }

    /// Waits until the connection goes over WebSocket.
    pub async fn expect_upgraded(&mut self) -> Result<()> {
        let upgraded = wait::within("the upgrade", self.upgraded.wait_for(|upgraded| *upgraded)).await?;
        upgraded.map(drop).context("the connection ended before its upgrade")
    }

    /// Ends the connection in order; what is still heard may be read to its end.
    pub async fn close(&self) -> Result<()> {
        self.outgoing.send(Saying::Close).await.ok().context("the connection is gone")
    }

    /// Breaks the connection without a word.
    pub async fn vanish(mut self) {
        self.pump.shutdown().await;
    }
}

async fn next_frame(stream: &mut Stream) -> Result<Frame> {
    loop {
        match stream.next().await.context("the connection ended")?? {
            Message::Text(text) => return Ok(Frame::Text(text.as_str().into())),
            Message::Binary(bytes) => return Ok(Frame::Binary(bytes.into())),
            Message::Close(_) => bail!("the server closed"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

impl Pump {
    /// Hands a frame to the test; returns what is to be answered.
    async fn hear(&self, frame: Frame) -> Result<Option<Frame>> {
        let signal = match frame {
            Frame::Text(text) if text == "2" && self.opening.answers_pings => {
                return Ok(Some(Frame::Text("3".into())));
            }
            Frame::Text(text) if text == "6" => return Ok(None),
            Frame::Text(text) if text == "1" => {
                // Nobody listens any more when the test is over; also below.
                let _ = self.heard.send(Signal::Closed(0)).await;
                bail!("the server closed");
            }
            frame => Signal::Frame(frame),
        };
        let _ = self.heard.send(signal).await;
        Ok(None)
    }

    async fn over_websocket(mut self, stream: Stream) {
        let why = match self.carry(stream).await {
            Ok(()) => "it ended".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let _ = self.heard.send(Signal::Gone(why)).await;
    }

    async fn carry(&mut self, mut stream: Stream) -> Result<()> {
        loop {
            let message = tokio::select! {
                Some(saying) = self.to_say.recv() => {
                    let message = match saying {
                        Saying::Frame(Frame::Text(text)) => Message::text(text),
                        Saying::Frame(Frame::Binary(bytes)) => Message::binary(bytes),
                        Saying::Close => Message::Close(None),
                    };
                    // A connection that cannot be written to shows itself at the next read.
                    let _ = stream.send(message).await;
                    continue;
                }
                read = stream.next() => match read {
                    Some(message) => message?,
                    None => return Ok(()),
                },
            };
            let frame = match message {
                Message::Text(text) => Frame::Text(text.as_str().into()),
                Message::Binary(bytes) => Frame::Binary(bytes.into()),
                Message::Close(close) => {
                    let code = close.map_or(1005, |close| close.code.into());
                    let _ = self.heard.send(Signal::Closed(code)).await;
                    continue;
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if let Some(Frame::Text(answer)) = self.hear(frame).await? {
                let _ = stream.send(Message::text(answer)).await;
            }
        }
    }

    async fn over_polling(mut self, polling: Polling, first: Vec<Frame>) {
        let upgrades = self.opening.way == Way::Upgrade;
        let (pause, paused) = watch::channel(false);
        let (to, opening, sid) = (self.to, self.opening.clone(), self.sid.clone());
        let probing = async {
            if !upgrades {
                return std::future::pending().await;
            }
            let stream = probe(to, &opening, &sid).await.context("upgrade")?;
            pause.send_replace(true);
            Ok(stream)
        };
        let polled = tokio::try_join!(self.poll(&polling, first, paused), probing);
        let why = match polled {
            Ok(((), mut stream)) => {
                let _ = stream.send(Message::text("5")).await;
                self.upgraded.send_replace(true);
                return self.over_websocket(stream).await;
            }
            Err(error) => format!("{error:#}"),
        };
        let _ = self.heard.send(Signal::Gone(why)).await;
    }

    /// Polls until it is paused, as clients do for the end of an upgrade: no request is in flight then.
    async fn poll(
        &mut self,
        polling: &Polling,
        first: Vec<Frame>,
        paused: watch::Receiver<bool>,
    ) -> Result<()> {
        let (answer, mut answers) = mpsc::channel(16);
        let mut to_say = std::mem::replace(&mut self.to_say, mpsc::channel(1).1);
        let reading = async {
            let mut frames = first;
            loop {
                for frame in frames {
                    if let Some(said) = self.hear(frame).await? {
                        let _ = answer.send(Saying::Frame(said)).await;
                    }
                }
                if *paused.borrow() {
                    return Ok(());
                }
                frames = polling.get().await?;
            }
        };
        let mut pausing = paused.clone();
        let writing = async {
            loop {
                let saying = tokio::select! {
                    biased;
                    _ = pausing.wait_for(|paused| *paused) => return Ok(()),
                    Some(saying) = answers.recv() => saying,
                    Some(saying) = to_say.recv() => saying,
                };
                let frame = match saying {
                    Saying::Frame(frame) => frame,
                    Saying::Close => Frame::Text("1".into()),
                };
                polling.post(&[frame]).await?;
            }
        };
        let done: Result<((), ())> = tokio::try_join!(reading, writing);
        self.to_say = to_say;
        done.map(drop)
    }
}

/// Asks over a WebSocket whether it may be the connection's.
async fn probe(to: SocketAddr, opening: &Opening, sid: &str) -> Result<Stream> {
    let mut stream = websocket(to, opening, Some(sid)).await?;
    stream.send(Message::text("2probe")).await.context("send a probe")?;
    let answer = wait::within("the answer to a probe", next_frame(&mut stream)).await??;
    ensure!(answer == Frame::Text("3probe".into()), "a probe was answered with {answer:?}");
    Ok(stream)
}
