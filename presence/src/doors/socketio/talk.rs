//! The conversation of the Socket.IO door: packets become flows, what comes of them becomes packets.
//!
//! A client is outside until its connect packet is granted; then it may join a lesson and log out. What is kept of it
//! lies behind two pointers: most sockets are idle.

use super::{
    Opening,
    assembler::Assembler,
    packet::{self, AckId, Content, Event, Namespace, Packet},
    recovery_id, socket_id, words,
};
use crate::{
    conversation::{Conversation, Desk, Heard, Malformed, Said, Served, Words},
    engine::Engine,
    event::Tongue,
    flows::{
        connect::Refused,
        lesson::{self, Client, Entrance, Hello, Ids, Recovered, Refusal, Wish},
    },
    telemetry::metrics::AppOutcome,
};
use bytes::Bytes;
use presence_api::{
    frames::SessionError,
    lesson::{Ack, Code, Done, Terminated},
};
use presence_core::close::Reason;
use serde::Serialize;

/// Bytes of a packet with its attachments, of a client that is not in.
const UNTRUSTED: usize = 64 * 1024;

/// One socket of a classroom app.
#[derive(Debug)]
pub struct Talk {
    assembler: Assembler,
    stage: Stage,
    /// What is to be served.
    asked: Option<Box<Asked>>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing but what its handshake said is known of it.
    Outside(Box<Opening>),
    In(Box<Client>),
    /// Its connect packet was not granted.
    Refused(Box<Refusal>),
    Over,
}

#[derive(Debug)]
enum Asked {
    Connect(Result<Hello, Refusal>),
    Join(AckId, Result<Wish, Refusal>),
    LogOut(Option<AckId>, Result<(String, String), Refusal>),
    /// An event that nobody serves.
    Unknown,
}

impl Talk {
    pub fn new(opening: Opening) -> Self {
        let stage = Stage::Outside(Box::new(opening));
        Self { assembler: Assembler::new(UNTRUSTED), stage, asked: None }
    }

    fn understand(&mut self, packet: Packet) -> Heard {
        match (packet.namespace, packet.content) {
            (Namespace::Main, content) => self.understand_main(content),
            (other @ Namespace::Other(_), Content::Connect { .. }) => {
                Heard::Reply(packet::connect_error(&other, "Invalid namespace", None::<()>))
            }
            (Namespace::Other(_), _) => malformed("a packet of a namespace that the client is not in"),
        }
    }

    fn understand_main(&mut self, content: Content) -> Heard {
        match (&mut self.stage, content) {
            (Stage::Outside(opening), Content::Connect { auth }) => {
                let claims = words::claims(std::mem::take(opening), auth.as_ref());
                let hello = claims.map(|(claims, left_off)| Hello {
                    claims,
                    left_off,
                    ids: Ids { sid: socket_id(), pid: recovery_id() },
                });
                self.ask(Asked::Connect(hello))
            }
            (Stage::In(_), Content::Disconnect) => Heard::Goodbye,
            (Stage::In(_), Content::Event(event)) => self.understand_event(event),
            // Nothing here waits for an answer.
            (Stage::In(_), Content::Ack { .. }) => Heard::Nothing,
            (Stage::In(_), Content::Connect { .. }) => malformed("a second connect packet"),
            _ => malformed("a packet before the connect packet"),
        }
    }

    fn understand_event(&mut self, event: Event) -> Heard {
        let arguments = if event.attachments.is_empty() {
            Ok(event.arguments)
        } else {
            Err(Refusal::bad_request("the event has attachments"))
        };
        match (event.name.as_str(), event.ack) {
            ("join_lesson", Some(ack)) => {
                self.ask(Asked::Join(ack, arguments.and_then(|it| words::wish(&it))))
            }
            ("join_lesson", None) => {
                let why = "join_lesson is acknowledged: give it a callback";
                Heard::Reply(packet::event("problem", &Refusal::new(Code::NoAcknowledgement, why).problem()))
            }
            ("log_out", ack) => self.ask(Asked::LogOut(ack, arguments.and_then(|it| words::leaver(&it)))),
            _ => self.ask(Asked::Unknown),
        }
    }

    fn ask(&mut self, asked: Asked) -> Heard {
        self.asked = Some(Box::new(asked));
        Heard::Request
    }

    async fn connect(&mut self, desk: Desk<'_>, hello: Result<Hello, Refusal>) -> Served {
        let entrance = match hello {
            Ok(hello) => lesson::connect(desk.engine, hello, desk.fence, desk.mailbox).await,
            Err(refusal) => Err(refusal),
        };
        let metrics = &desk.engine.deps.metrics;
        match entrance {
            Ok(Entrance::New(client)) => {
                metrics.app_connect(AppOutcome::Done);
                let frames = vec![self.let_in(desk.engine, &client)];
                let expires = desk.engine.moment(client.identity.expires);
                self.stage = Stage::In(client);
                Served::Admitted { guest: desk.engine.ledger.welcome(desk.mailbox), expires, frames }
            }
            Ok(Entrance::Recovered(recovered)) => {
                metrics.app_connect(AppOutcome::Recovered);
                let Recovered { client, seated, missed } = *recovered;
                let mut frames = vec![self.let_in(desk.engine, &client)];
                frames.extend(missed.iter().map(|event| event.frame_for(Tongue::SocketIo).clone()));
                self.stage = Stage::In(client);
                Served::Connected { seated, frames }
            }
            Err(refusal) => {
                metrics.app_connect(AppOutcome::Refused(refusal.code));
                let reason = refusal.reason();
                self.stage = Stage::Refused(Box::new(refusal));
                Served::Refused(Refused(reason))
            }
        }
    }

    fn let_in(&mut self, engine: &Engine, client: &Client) -> Bytes {
        self.assembler.set_limit(engine.deps.config.socketio.max_payload as usize);
        packet::connected(&client.socket.sid.shown(), &client.pid)
    }

    async fn join(&mut self, desk: Desk<'_>, ack: AckId, wish: Result<Wish, Refusal>) -> Served {
        let Stage::In(client) = &mut self.stage else { return Served::Answered(vec![]) };
        let joined = match wish {
            Ok(wish) => lesson::join(desk.engine, client, wish, desk.fence, desk.mailbox).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = joined.as_ref().err().map_or(AppOutcome::Done, |it| AppOutcome::Refused(it.code));
        desk.engine.deps.metrics.lesson_join(outcome);
        match joined {
            Ok((seated, joined)) => Served::Connected { seated, frames: vec![answer(ack, Ok(joined))] },
            Err(refusal) => Served::Answered(vec![answer::<Done>(ack, Err(refusal))]),
        }
    }

    async fn log_out(
        &self,
        engine: &Engine,
        leaver: Result<(String, String), Refusal>,
    ) -> Result<Done, Refusal> {
        let (user_id, org_id) = leaver?;
        if let Stage::In(client) = &self.stage {
            lesson::log_out(engine, client, &user_id, &org_id).await?;
        }
        Ok(Done {})
    }
}

impl Conversation for Talk {
    fn hear(&mut self, said: Said) -> Heard {
        let packet = match said {
            Said::Text(text) => self.assembler.text(&text),
            Said::Binary(bytes) => self.assembler.binary(bytes),
        };
        match packet {
            Ok(Some(packet)) => self.understand(packet),
            // Its attachments follow.
            Ok(None) => Heard::Nothing,
            Err(error) => malformed(&error.to_string()),
        }
    }

    async fn serve(&mut self, desk: Desk<'_>) -> Served {
        match self.asked.take().map(|asked| *asked) {
            Some(Asked::Connect(hello)) => self.connect(desk, hello).await,
            Some(Asked::Join(ack, wish)) => self.join(desk, ack, wish).await,
            Some(Asked::LogOut(ack, leaver)) => {
                let done = self.log_out(desk.engine, leaver).await;
                Served::Answered(ack.map(|ack| answer(ack, done)).into_iter().collect())
            }
            Some(Asked::Unknown) => {
                desk.engine.deps.metrics.app_events_unknown.inc();
                Served::Answered(vec![])
            }
            None => Served::Answered(vec![]),
        }
    }

    fn ending(&mut self, reason: Reason, words: &Words) -> Vec<Bytes> {
        match &self.stage {
            // A client that is to come back does so by itself when its transport closes, and only then.
            _ if words.closes && comes_back(reason) => vec![],
            Stage::Refused(refusal) => {
                vec![packet::connect_error(&Namespace::Main, &refusal.message, Some(refusal.problem()))]
            }
            Stage::In(_) if words.closes => {
                let error = SessionError { detail: words.detail.clone(), ..reason.row().into() };
                vec![packet::event("session_error", &error), packet::DISCONNECT]
            }
            Stage::In(_) => vec![packet::event("terminated", &terminated(words))],
            Stage::Outside(_) | Stage::Over => vec![],
        }
    }

    fn leaves_by_itself(&self, reason: Reason) -> bool {
        matches!(self.stage, Stage::Refused(_)) && !comes_back(reason)
    }

    async fn over(&mut self, engine: &Engine, left: bool) {
        if let Stage::In(client) = std::mem::replace(&mut self.stage, Stage::Over) {
            lesson::end(engine, *client, left).await;
        }
    }
}

const fn comes_back(reason: Reason) -> bool {
    reason.reconnect() || matches!(reason, Reason::Normal)
}

fn terminated(words: &Words) -> Terminated {
    Terminated {
        reconnect_after_ms: words.reconnect_after_ms.unwrap_or(0),
        reason: words.reason.unwrap_or_default().into(),
    }
}

fn answer<T: Serialize>(ack: AckId, outcome: Result<T, Refusal>) -> Bytes {
    packet::ack(ack, &outcome.map_or_else(|refusal| Ack::Error(refusal.problem()), Ack::Success))
}

fn malformed(detail: &str) -> Heard {
    Heard::Malformed(Malformed { reason: Reason::ProtocolError, detail: detail.to_owned() })
}

#[cfg(test)]
mod tests;
