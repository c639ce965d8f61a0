//! One client of the native door, as lean as it can be: handshake, `connect_request`, and then it counts what it is
//! sent.

use crate::{
    frame::masked_text,
    handshake,
    listening::{Ear, Listener, Outcome},
    tally::{Counted, Tally},
    tick::Tick,
};
use anyhow::{Context as _, Result};
use presence_api::frames::{ClientFrame, ConnectRequest};
use std::{net::SocketAddr, sync::Arc};

/// Where to connect, and with what. One token serves all: agents differ by label.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) token: Arc<str>,
}

/// Who connects, and to which classroom.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) label: String,
    pub(crate) classroom: String,
}

#[derive(Debug)]
pub(crate) struct Agent(Listener<AgentEar>);

/// What this agent has understood.
#[derive(Debug, Default)]
struct AgentEar {
    joined: bool,
    next: Option<u64>,
}

impl Agent {
    /// Returns once `connect_success` is there.
    pub(crate) async fn connect(target: &Target, guest: &Guest, tally: &Arc<Tally>) -> Result<Self> {
        let (tcp, early) = handshake::open(target.address, "/ws").await?;
        let mut listener = Listener::new(tcp, &early, AgentEar::default(), tally);
        let request = ClientFrame::ConnectRequest(ConnectRequest {
            agent_label: guest.label.clone(),
            classroom_id: guest.classroom.clone(),
            token: target.token.to_string(),
            resume: None,
        });
        let request = serde_json::to_vec(&request).context("write the connect request")?;
        listener.send(&masked_text(&request)).await?;
        listener.until("connect_success", |ear| ear.joined).await?;
        Ok(Self(listener))
    }

    /// Reads until the socket ends; says why it did.
    pub(crate) async fn run(self) -> String {
        self.0.run().await
    }
}

impl Ear for AgentEar {
    fn hear_text(&mut self, text: &[u8], counted: &mut Counted, now: u64, out: &mut Outcome) {
        if let Some(tick) = Tick::find(text) {
            counted.hear(tick, &mut self.next, now);
        } else if text.starts_with(br#"{"type":"connect_success""#) {
            self.joined = true;
        } else if text.starts_with(br#"{"type":"resync""#) {
            counted.disorder += 1;
        } else if text.starts_with(br#"{"type":"#) {
            out.end(String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Vec<u8> {
        let payload = Tick { number, at: 5 }.payload();
        format!(
            r#"{{"id":{{"entity_type":"bench","operation":"tick","sequence_id":1}},"payload":{payload}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn deliveries_are_timed_and_a_missing_one_is_disorder() {
        let (mut ear, mut counted, mut out) = (AgentEar::default(), Counted::default(), Outcome::default());
        for number in [4, 5, 7, 8] {
            ear.hear_text(&frame(number), &mut counted, 12, &mut out);
        }
        assert_eq!(counted.latencies, [7, 7, 7, 7]);
        assert_eq!((counted.disorder, out.parts()), (1, (&[][..], None)));
    }

    #[test]
    fn an_error_ends_it() {
        let (mut ear, mut out) = (AgentEar::default(), Outcome::default());
        let text = br#"{"type":"recoverable_session_error"}"#;
        ear.hear_text(text, &mut Counted::default(), 0, &mut out);
        assert_eq!(out.parts().1, Some(r#"{"type":"recoverable_session_error"}"#));
    }
}
