//! One attempt to enter a classroom: a socket, a connect request, and what became of it.

use super::wire::{Heard, Wire};
use crate::{History, history::now};
use presence_api::{
    frames::{ClientFrame, ConnectRequest, Connected, Resume, SessionError},
    history::{Act, Key, Outcome},
};
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
        let began = now();
        let opening = Wire::open(self.to, self.socket, &self.actor, &self.key.classroom_id, &self.history);
        let Ok(Ok(wire)) = tokio::time::timeout(PATIENCE, opening).await else {
            // Nothing was asked, so nothing happened, and there is nothing to write.
            return Entering::Unknown;
        };
        let (entering, outcome) = self.ask(wire).await;
        let (socket, key, resume) = (self.socket, self.key, self.request.resume);
        self.history.since(began, &self.actor, Act::Connect { socket, key, resume, outcome });
        entering
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
                    Heard::Over(_) => return None,
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
