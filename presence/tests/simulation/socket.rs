//! A client's socket: the first frame and its answer, then whatever comes. All that it hears goes into the history, as
//! it is heard.

use crate::world::{
    World,
    identity::token,
    link::{ClientEnd, FromClient, FromServer, comes_back},
};
use presence_api::{
    event::AgentPayload,
    frames::{ClientFrame, ConnectRequest, Delivered, Resume, ServerFrame, SessionError},
    history::{About, Act, Entry, Key, Outcome, Side},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a client waits for the answer to its first frame.
const PATIENCE: Duration = Duration::from_secs(8);

/// A server pings every half minute: whoever hears nothing for longer is alone.
const SILENCE: Duration = Duration::from_secs(40);

/// How long it takes until both ends of a silent socket know, in microseconds.
pub(crate) const SILENCE_LASTS: i64 = 40_000_000;

/// Who knocks, and what it knows.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) actor: String,
    pub(crate) label: String,
    pub(crate) account: String,
    pub(crate) key: Key,
    pub(crate) number: u64,
    pub(crate) resume: Option<Resume>,
    /// When its token ends.
    pub(crate) until: i64,
}

/// What a client knows of its session, shared by its sockets.
pub(crate) type Known = Arc<Mutex<Option<Resume>>>;

pub(crate) fn known(known: &Known) -> Option<Resume> {
    *known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) again: bool,
    pub(crate) after_ms: Option<u64>,
}

/// What a socket brings that its client must act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Connect elsewhere, then close this one.
    Terminated { after_ms: u64 },
    /// It is over. `again`: the client should come back.
    Over { again: bool },
}

/// A socket with a session.
#[derive(Debug)]
pub(crate) struct Socket {
    world: Arc<World>,
    hello: Hello,
    end: Option<ClientEnd>,
    known: Known,
    alive_until: Instant,
}

/// Asks for a session on a new socket.
pub(crate) async fn knock(
    world: &Arc<World>,
    hello: Hello,
    end: Option<ClientEnd>,
    known: &Known,
) -> Result<Socket, Refused> {
    let began = world.now();
    let alive_until = Instant::now() + SILENCE;
    let mut socket = Socket { world: world.clone(), hello, end, known: known.clone(), alive_until };
    let (outcome, refused) = match timeout(PATIENCE, socket.introduce()).await {
        Ok((outcome, refused)) => (outcome, refused),
        Err(_) => {
            (Outcome::Unknown { why: "no answer".to_owned() }, Some(Refused { again: true, after_ms: None }))
        }
    };
    let Hello { actor, key, number, resume, .. } = &socket.hello;
    let act = Act::Connect { socket: *number, key: key.clone(), resume: *resume, outcome };
    world.enter(Entry { began, at: world.now(), actor: actor.clone(), act });
    match refused {
        None => Ok(socket),
        Some(refused) => {
            if let Some(end) = socket.end.take() {
                end.reset();
            }
            Err(refused)
        }
    }
}

fn unknown(why: &str) -> (Outcome, Option<Refused>) {
    (Outcome::Unknown { why: why.to_owned() }, Some(Refused { again: true, after_ms: None }))
}

impl Socket {
    async fn introduce(&mut self) -> (Outcome, Option<Refused>) {
        let Some(end) = &mut self.end else { return unknown("nobody takes sockets there") };
        let request = ClientFrame::ConnectRequest(ConnectRequest {
            agent_label: self.hello.label.clone(),
            classroom_id: self.hello.key.classroom_id.clone(),
            token: token(&self.hello.account, self.hello.until),
            resume: self.hello.resume,
        });
        end.send(FromClient::Text(serde_json::to_vec(&request).unwrap_or_default().into()));
        loop {
            match end.read().await {
                FromServer::Ping => end.send(FromClient::Pong),
                FromServer::Close(_) | FromServer::End => return unknown("the socket ended"),
                FromServer::Text(text) => match serde_json::from_slice(&text) {
                    Ok(ServerFrame::ConnectSuccess(connected)) => return self.admitted(connected),
                    Ok(
                        ServerFrame::RecoverableSessionError(error)
                        | ServerFrame::UnrecoverableSessionError(error),
                    ) => return refused(&error),
                    Ok(ServerFrame::Resync(_)) | Err(_) => return unknown("an answer that is none"),
                },
            }
        }
    }

    fn admitted(&self, connected: presence_api::frames::Connected) -> (Outcome, Option<Refused>) {
        // Resumed, it goes on from what it heard last: what it missed is yet to come.
        let last_seq = match self.hello.resume {
            Some(resume) if connected.resumed => resume.last_seq,
            Some(_) | None => connected.snapshot.seq,
        };
        self.learn(Resume { session_id: connected.session_id, last_seq });
        let outcome = Outcome::Entered {
            session_id: connected.session_id,
            seq: connected.snapshot.seq,
            resumed: connected.resumed,
            replica: connected.replica,
            agents_total: connected.snapshot.agents_total,
        };
        (outcome, None)
    }

    /// Positions only grow: what another socket of this client has heard meanwhile counts too.
    fn learn(&self, resume: Resume) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last_seq = known.map_or(0, |known| known.last_seq).max(resume.last_seq);
        *known = Some(Resume { last_seq, ..resume });
    }

    fn heard(&self, seq: u64) {
        if let Some(known) = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner) {
            known.last_seq = known.last_seq.max(seq);
        }
    }

    fn write(&self, act: Act) {
        self.world.write(self.world.now(), &self.hello.actor, act);
    }

    /// Reads until there is something to act on. Nothing is lost when it is dropped before that.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            let Some(end) = &mut self.end else { return News::Over { again: true } };
            let Ok(frame) = timeout_at(self.alive_until, end.read()).await else {
                end.reset();
                return self.over(Side::Broken, None);
            };
            self.alive_until = Instant::now() + SILENCE;
            match frame {
                FromServer::Ping => end.send(FromClient::Pong),
                FromServer::Text(text) => {
                    if let Some(news) = self.understand(&text) {
                        return news;
                    }
                }
                FromServer::Close(code) => return self.over(Side::Server, Some(code)),
                FromServer::End => return self.over(Side::Broken, None),
            }
        }
    }

    fn over(&mut self, by: Side, code: Option<u16>) -> News {
        self.end = None;
        self.write(Act::Closed { socket: self.hello.number, by, code });
        News::Over { again: code.is_none_or(comes_back) }
    }

    fn understand(&self, text: &[u8]) -> Option<News> {
        if let Ok(event) = serde_json::from_slice::<Delivered>(text) {
            self.hear(event);
            return None;
        }
        let socket = self.hello.number;
        match serde_json::from_slice(text) {
            Ok(ServerFrame::Resync(snapshot)) => {
                self.heard(snapshot.seq);
                self.write(Act::Resync { socket, seq: snapshot.seq, agents_total: snapshot.agents_total });
                None
            }
            Ok(
                ServerFrame::RecoverableSessionError(error) | ServerFrame::UnrecoverableSessionError(error),
            ) => {
                let reconnect_after_ms = error.reconnect_after_ms;
                let terminated = error.kind == "terminated";
                self.write(Act::Told { socket, reason: error.kind, reconnect_after_ms });
                terminated.then_some(News::Terminated { after_ms: reconnect_after_ms.unwrap_or(0) })
            }
            Ok(ServerFrame::ConnectSuccess(_)) | Err(_) => {
                panic!("a frame that a client does not understand")
            }
        }
    }

    fn hear(&self, event: Delivered) {
        self.heard(event.seq);
        let ours = event.id.entity_type == presence_api::event::ENTITY;
        let about = ours.then(|| serde_json::from_str::<AgentPayload>(event.payload.get()).ok()).flatten();
        let about = About {
            classroom_id: classroom_of(&event).unwrap_or_else(|| self.hello.key.classroom_id.clone()),
            about: about.map(|payload| payload.agent_id),
            receiver: None,
            sender: None,
        };
        self.write(Act::Heard { socket: self.hello.number, seq: event.seq, id: event.id, about });
    }

    /// A close frame; the answer is waited for elsewhere.
    pub(crate) fn close(mut self) -> Option<ClientEnd> {
        let end = self.end.take()?;
        self.write(Act::Closed { socket: self.hello.number, by: Side::Client, code: Some(1000) });
        Some(end)
    }

    /// Breaks it, without a word.
    pub(crate) fn reset(mut self) {
        if let Some(end) = self.end.take() {
            end.reset();
            self.write(Act::Closed { socket: self.hello.number, by: Side::Broken, code: None });
        }
    }

    /// The client's network is another one: the server is not told.
    pub(crate) fn abandon(mut self) {
        if let Some(end) = self.end.take() {
            end.silence();
            let (began, whom) = (self.world.now(), self.hello.actor.clone());
            // Until the server has missed a pong.
            let at = began + SILENCE_LASTS;
            let act = Act::Fault { what: "silence".to_owned(), whom };
            self.world.enter(Entry { began, at, actor: "saboteur".to_owned(), act });
            self.write(Act::Closed { socket: self.hello.number, by: Side::Broken, code: None });
        }
    }
}

/// Foreign events say in which classroom they were said.
fn classroom_of(event: &Delivered) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(event.payload.get()).ok()?;
    Some(payload.get("said_in")?.as_str()?.to_owned())
}

fn refused(error: &SessionError) -> (Outcome, Option<Refused>) {
    let again = comes_back(code_of(&error.kind));
    let refused = Refused { again, after_ms: error.reconnect_after_ms };
    (Outcome::Refused { reason: error.kind.clone() }, Some(refused))
}

fn code_of(name: &str) -> u16 {
    let reasons = presence_core::close::Reason::ALL.iter();
    reasons.map(|reason| reason.row()).find(|row| row.name == name).map_or(1006, |row| row.code)
}
