//! A client of the Socket.IO door, made for tests: Engine.IO v4 and Socket.IO v5 from what their protocols say, and
//! nothing of the server's own code. It tells the test every packet, in order; `heard()` shows them all when one fails.

mod engine;
mod opening;
mod packet;
mod requests;

pub use engine::{Engine, Frame, Handshake, Signal};
pub use opening::{Opening, Person, Recovery, Way};
pub use packet::{Packet, PacketKind};
pub use requests::{Polling, Refused, Stream, websocket};

use crate::{Server, wait};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{collections::VecDeque, net::SocketAddr};

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Packet(Packet),
    /// Only where the client does not answer it.
    Ping,
    /// Text that is no packet for a client.
    Nonsense(String),
    /// As `Signal`.
    Closed(u16),
    Gone(String),
}

/// A frame, and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Sent(String),
    Heard(String),
}

#[derive(Debug)]
pub struct App {
    who: String,
    engine: Engine,
    /// The socket's id, once it is connected.
    pub sid: String,
    pub pid: Option<String>,
    offset: Option<String>,
    next_ack: u64,
    /// Came while an acknowledgement was waited for.
    early: VecDeque<Packet>,
    pub lines: Vec<Line>,
}

impl App {
    /// Opens a connection, and says nothing yet.
    pub async fn knock(who: &str, to: SocketAddr, opening: &Opening) -> Result<Self> {
        let engine = Engine::open(to, opening).await.with_context(|| format!("{who} opens a connection"))?;
        Ok(Self {
            who: who.into(),
            engine,
            sid: String::new(),
            pid: None,
            offset: None,
            next_ack: 0,
            early: VecDeque::new(),
            lines: vec![],
        })
    }

    /// Opens a connection, and is let in.
    pub async fn connect(who: &str, to: SocketAddr, opening: &Opening) -> Result<Self> {
        let mut app = Self::knock(who, to, opening).await?;
        app.ask_in(opening).await?;
        app.expect_connected().await?;
        Ok(app)
    }

    /// Sends CONNECT.
    pub async fn ask_in(&mut self, opening: &Opening) -> Result<()> {
        let payload = opening.auth.as_ref().map(Value::to_string).unwrap_or_default();
        self.say(&format!("40{payload}")).await
    }

    /// The server let it in; of what it was told, `recovered` is whether it kept the `sid`.
    pub async fn expect_connected(&mut self) -> Result<()> {
        let packet = self.expect(PacketKind::Connect).await?;
        let id = |key: &str| packet.data[key].as_str().map(str::to_owned);
        (self.sid, self.pid) = (id("sid").unwrap_or_default(), id("pid"));
        Ok(())
    }

    /// The server did not let it in: `{message, data}`.
    pub async fn expect_refused(&mut self) -> Result<Value> {
        Ok(self.expect(PacketKind::ConnectError).await?.data)
    }

    pub fn handshake(&self) -> &Handshake {
        &self.engine.handshake
    }

    pub async fn expect_upgraded(&mut self) -> Result<()> {
        self.engine.expect_upgraded().await.with_context(|| self.heard())
    }

    /// Sends an Engine.IO packet as it is.
    pub async fn say(&mut self, text: &str) -> Result<()> {
        self.lines.push(Line::Sent(text.into()));
        self.engine.send(Frame::Text(text.into())).await.with_context(|| self.heard())
    }

    pub async fn say_binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.lines.push(Line::Sent(format!("{} bytes", bytes.len())));
        self.engine.send(Frame::Binary(bytes.into())).await.with_context(|| self.heard())
    }

    pub async fn emit(&mut self, event: &str, arg: &Value) -> Result<()> {
        self.say(&format!("42{}", Value::from(vec![event.into(), arg.clone()]))).await
    }

    /// Emits with an acknowledgement to come; returns its id.
    pub async fn emit_for_ack(&mut self, event: &str, arg: &Value) -> Result<u64> {
        let id = self.next_ack;
        self.next_ack += 1;
        self.say(&format!("42{id}{}", Value::from(vec![event.into(), arg.clone()]))).await?;
        Ok(id)
    }

    /// The same, with bytes for an argument.
    pub async fn emit_binary_for_ack(&mut self, event: &str, arg: &[u8]) -> Result<u64> {
        let id = self.next_ack;
        self.next_ack += 1;
        let placeholder = json!([event, { "_placeholder": true, "num": 0 }]);
        self.say(&format!("451-{id}{placeholder}")).await?;
        self.say_binary(arg).await?;
        Ok(id)
    }

    /// Emits, and returns what it is acknowledged with. Events that come before are kept for later.
    pub async fn ask(&mut self, event: &str, arg: &Value) -> Result<Value> {
        let id = self.emit_for_ack(event, arg).await?;
        self.expect_ack(id).await
    }

    pub async fn expect_ack(&mut self, id: u64) -> Result<Value> {
        loop {
            match self.hear().await? {
                Heard::Packet(packet) if packet.kind == PacketKind::Ack && packet.id == Some(id) => {
                    ensure!(packet.args().len() == 1, "an acknowledgement of one: {packet:?}");
                    return Ok(packet.args()[0].clone());
                }
                Heard::Packet(packet) if packet.kind == PacketKind::Event => self.early.push_back(packet),
                _ => return self.unexpected(&format!("the acknowledgement {id}")),
            }
        }
    }

    /// The `data` of a `{"status":"SUCCESS"}`.
    pub async fn ask_well(&mut self, event: &str, arg: &Value) -> Result<Value> {
        let answer = self.ask(event, arg).await?;
        ensure!(answer["status"] == "SUCCESS", "{} got {answer}; {}", self.who, self.heard());
        Ok(answer["data"].clone())
    }

    /// The `code` of a `{"status":"ERROR"}`, which has a message too.
    pub async fn ask_in_vain(&mut self, event: &str, arg: &Value) -> Result<String> {
        let answer = self.ask(event, arg).await?;
        let (code, message) = (answer["data"]["code"].as_str(), answer["data"]["message"].as_str());
        let is_error = answer["status"] == "ERROR" && message.is_some_and(|text| !text.is_empty());
        ensure!(is_error && code.is_some(), "{} got {answer}; {}", self.who, self.heard());
        Ok(code.unwrap_or_default().to_owned())
    }

    /// The next packet or what else happens, whatever it is.
    pub async fn next(&mut self) -> Result<Heard> {
        match self.early.pop_front() {
            Some(packet) => Ok(Heard::Packet(packet)),
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Result<Heard> {
        let mut packet = match self.signal().await? {
            Signal::Frame(Frame::Text(text)) if text == "2" => return Ok(Heard::Ping),
            Signal::Frame(Frame::Text(text)) => match text.strip_prefix('4').map(Packet::read) {
                Some(Ok(packet)) => packet,
                Some(Err(_)) | None => return Ok(Heard::Nonsense(text)),
            },
            Signal::Frame(Frame::Binary(_)) => return self.unexpected("no attachment before its packet"),
            Signal::Closed(code) => return Ok(Heard::Closed(code)),
            Signal::Gone(why) => return Ok(Heard::Gone(why)),
        };
        while packet.attachments.len() < packet.missing {
            match self.signal().await? {
                Signal::Frame(Frame::Binary(bytes)) => packet.attachments.push(bytes),
                _ => return self.unexpected("an attachment"),
            }
        }
        // What Socket.IO clients take for an offset.
        if let (PacketKind::Event, Some(Value::String(offset))) = (packet.kind, packet.args().last()) {
            self.offset = Some(offset.clone());
        }
        Ok(Heard::Packet(packet))
    }

    async fn signal(&mut self) -> Result<Signal> {
        let signal = self.engine.next().await;
        let signal = signal.with_context(|| format!("{}: {}", self.who, self.heard()))?;
        self.lines.push(Line::Heard(match &signal {
            Signal::Frame(Frame::Text(text)) => text.clone(),
            Signal::Frame(Frame::Binary(bytes)) => format!("{} bytes", bytes.len()),
            other => format!("{other:?}"),
        }));
        Ok(signal)
    }

    pub async fn expect(&mut self, kind: PacketKind) -> Result<Packet> {
        match self.next().await? {
            Heard::Packet(packet) if packet.kind == kind => Ok(packet),
            _ => self.unexpected(&format!("{kind:?}")),
        }
    }

    /// The next packet is this event; returns its arguments.
    pub async fn expect_event(&mut self, name: &str) -> Result<Vec<Value>> {
        let packet = self.expect(PacketKind::Event).await?;
        if packet.name() != name {
            return self.unexpected(&format!("the event {name}"));
        }
        Ok(packet.args().to_vec())
    }

    /// The connection ends, and nothing but its end is heard.
    pub async fn expect_end(&mut self) -> Result<()> {
        loop {
            match self.next().await? {
                Heard::Gone(_) => return Ok(()),
                Heard::Closed(_) => {}
                _ => return self.unexpected("the end of the connection"),
            }
        }
    }

    /// The server tells it not to come back by itself, and ends.
    pub async fn expect_disconnected(&mut self) -> Result<()> {
        self.expect(PacketKind::Disconnect).await?;
        self.expect_end().await
    }

    /// Reads to the end of the connection, whatever is said before.
    pub async fn drain(&mut self) -> Result<Vec<Heard>> {
        let mut all = vec![];
        loop {
            match self.next().await? {
                Heard::Gone(_) => return Ok(all),
                heard => all.push(heard),
            }
        }
    }

    /// What to come back with.
    pub fn recovery(&self) -> Result<Recovery> {
        let pid = self.pid.clone().with_context(|| format!("no pid: {}", self.heard()))?;
        Ok(Recovery { pid, offset: self.offset.clone() })
    }

    /// Leaves as Socket.IO clients do that are told to: DISCONNECT, then the connection's end.
    pub async fn leave(mut self) -> Result<()> {
        self.say("41").await?;
        self.close().await
    }

    /// Ends the connection in order, and does not wait for what comes of it.
    pub async fn hang_up(&mut self) -> Result<()> {
        self.engine.close().await.with_context(|| self.heard())
    }

    /// Ends the connection in order, without a DISCONNECT.
    pub async fn close(mut self) -> Result<()> {
        self.hang_up().await?;
        wait::within("the end", self.drain()).await?.map(drop)
    }

    /// Breaks the connection without a word.
    pub async fn vanish(self) {
        self.engine.vanish().await;
    }

    /// All frames so far, for whoever reads why a test failed.
    pub fn heard(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| format!("{line:?}")).collect();
        format!("{} sent and heard:\n    {}", self.who, lines.join("\n    "))
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        bail!("{} expected {expected}; {}", self.who, self.heard())
    }
}

impl Server {
    /// How this person opens a connection: over WebSocket, everything in the query.
    pub fn opening(&self, person: &Person) -> Result<Opening> {
        Opening::of(person, self.tokens())
    }

    /// A person who was let in.
    pub async fn app(&self, person: &Person) -> Result<App> {
        self.app_by(Way::WebSocket, person).await
    }

    pub async fn app_by(&self, way: Way, person: &Person) -> Result<App> {
        self.app_with(person, &self.opening(person)?.by(way)).await
    }

    pub async fn app_with(&self, person: &Person, opening: &Opening) -> Result<App> {
        App::connect(&person.user, self.public, opening).await
    }
}
