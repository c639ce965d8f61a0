//! One attempt to enter a classroom: a socket, a connect request, and what became of it.

use super::{
    app::Guise,
    wire::{Heard, Wire},
};
use crate::{History, history::now};
use presence_api::{
    frames::{ClientFrame, ConnectRequest, Connected, Resume, SessionError},
    history::{Act, Key, Outcome},
};
use presence_core::close::Reason;
use std::{net::SocketAddr, time::Duration};
use tokio_tungstenite::tungstenite::Message;

/// A server that has not answered by then is given up: whether it happened is not known.
const PATIENCE: Duration = Duration::from_secs(4);

/// Everything that an attempt needs, so that it can go on beside the socket there is.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) to: SocketAddr,
    pub(super) socket: u64,
    pub(super) actor: String,
    pub(super) key: Key,
    pub(super) request: ConnectRequest,
    /// Where it is an app.
    pub(super) guise: Option<Guise>,
    /// For how long a server may say nothing.
    pub(super) silence: Duration,
    pub(super) history: History,
}

#[derive(Debug)]
pub(super) enum Entering {
    In(Box<Wire>, Connected),
    Refused(SessionError),
    /// There was no answer.
    Unknown,
}

impl Attempt {
    pub(super) async fn run(self) -> Entering {
        if let Some(guise) = self.guise.clone() {
            return self.run_app(&guise).await;
        }
        let began = now();
        let opening = Wire::open(self.to, self.socket, &self.actor, &self.key.classroom_id, &self.history);
        let Ok(Ok(wire)) = tokio::time::timeout(PATIENCE, opening).await else {
            // Nothing was asked, so nothing happened, and there is nothing to write.
            return Entering::Unknown;
        };
        let (entering, outcome) = self.ask(wire.bearing(self.silence)).await;
        let (socket, key, resume) = (self.socket, self.key, self.request.resume);
        self.history.since(began, &self.actor, Act::Connect { socket, key, resume, outcome });
        entering
    }

    /// A socket is let in, and joins its lesson. What it asked for before it was let in happened to nobody's session.
    async fn run_app(self, guise: &Guise) -> Entering {
        let names = (self.actor.as_str(), self.key.classroom_id.as_str());
        let opening = async {
            let wire = Wire::open_app(self.to, self.socket, names, guise, &self.history).await.ok()?;
            wire.app()?.ask_in().await.ok()?;
            Some(wire.bearing(self.silence))
        };
        let Ok(Some(mut wire)) = tokio::time::timeout(PATIENCE, opening).await else {
            return Entering::Unknown;
        };
        match tokio::time::timeout(PATIENCE, answer(&mut wire)).await {
            Ok(Some(Answer::LetIn(sid))) => {
                let (user_id, org_id) = (guise.person.user.clone(), guise.person.org.clone());
                let (socket, kind) = (self.socket, guise.person.role.to_owned());
                self.history.now(&self.actor, Act::Admitted { socket, user_id, org_id, kind, sid });
                wire.is_let_in();
            }
            Ok(Some(Answer::Refused(error))) => return Entering::Refused(error),
            _ => return Entering::Unknown,
        }
        let began = now();
        let (entering, outcome) = self.join(&mut wire, guise).await;
        let (socket, key) = (self.socket, self.key);
        self.history.since(began, &self.actor, Act::Connect { socket, key, resume: None, outcome });
        match entering {
            Some(Ok(connected)) => Entering::In(Box::new(wire), connected),
            Some(Err(error)) => {
                wire.vanish();
                Entering::Refused(error)
            }
            None => {
                wire.vanish();
                Entering::Unknown
            }
        }
    }

    async fn join(
        &self,
        wire: &mut Wire,
        guise: &Guise,
    ) -> (Option<Result<Connected, SessionError>>, Outcome) {
        let joining = async {
            wire.app()?.join(&guise.person, &self.key.classroom_id).await.ok()?;
            answer(wire).await
        };
        match tokio::time::timeout(PATIENCE, joining).await {
            Ok(Some(Answer::Joined(connected))) => {
                let outcome = entered(&connected);
                (Some(Ok(connected)), outcome)
            }
            Ok(Some(Answer::Refused(error))) => {
                let outcome = Outcome::Refused { reason: error.kind.clone() };
                (Some(Err(error)), outcome)
            }
            Ok(_) => (None, Outcome::Unknown { why: "the connection broke".into() }),
            Err(_) => (None, Outcome::Unknown { why: "no answer in time".into() }),
        }
    }

    async fn ask(&self, mut wire: Wire) -> (Entering, Outcome) {
        let frame = serde_json::to_string(&ClientFrame::ConnectRequest(self.request.clone()));
        let frame = frame.expect("texts and numbers always serialize");
        let answer = async {
            wire.say(Message::text(frame)).await.ok()?;
            loop {
                match wire.hear().await {
                    Heard::Welcome(connected) => return Some(Ok(connected)),
                    Heard::Told(error) => return Some(Err(error)),
                    // What an app is told is nothing that the native door says.
                    Heard::Over(_) | Heard::LetIn(_) | Heard::Refused(_) => return None,
                    Heard::UpTo(_) | Heard::Resync(_) | Heard::Nothing => {}
                }
            }
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Some(Ok(connected))) => {
                let outcome = entered(&connected);
                (Entering::In(Box::new(wire), connected), outcome)
            }
            Ok(Some(Err(error))) => {
                let outcome = Outcome::Refused { reason: error.kind.clone() };
                (Entering::Refused(error), outcome)
            }
            Ok(None) => (Entering::Unknown, Outcome::Unknown { why: "the connection broke".into() }),
            Err(_) => (Entering::Unknown, Outcome::Unknown { why: "no answer in time".into() }),
        }
    }
}

/// What an app's request came to.
enum Answer {
    LetIn(String),
    Joined(Connected),
    Refused(SessionError),
}

/// None where the connection is over.
async fn answer(wire: &mut Wire) -> Option<Answer> {
    loop {
        match wire.hear().await {
            Heard::LetIn(sid) => return Some(Answer::LetIn(sid)),
            Heard::Welcome(connected) => return Some(Answer::Joined(connected)),
            Heard::Refused(code) => return Some(Answer::Refused(refusal(&code))),
            Heard::Told(error) => return Some(Answer::Refused(error)),
            Heard::Over(_) => return None,
            Heard::UpTo(_) | Heard::Resync(_) | Heard::Nothing => {}
        }
    }
}

/// A code of the Socket.IO door as a reason of the close table: what passes is waited out.
fn refusal(code: &str) -> SessionError {
    let kind = if code == "unavailable" { Reason::Overloaded.row().name } else { code };
    let error = serde_json::json!({ "type": kind, "title": code, "status": 503 });
    serde_json::from_value(error).expect("a session error has these three fields")
}

fn entered(connected: &Connected) -> Outcome {
    Outcome::Entered {
        session_id: connected.session_id,
        seq: connected.snapshot.seq,
        resumed: connected.resumed,
        replica: connected.replica.clone(),
        agents_total: connected.snapshot.agents_total,
    }
}

/// What to come back with.
pub(super) const fn resume(session_id: i64, last_seq: u64) -> Resume {
    Resume { session_id, last_seq }
}
