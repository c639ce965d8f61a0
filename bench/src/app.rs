//! One client of a Socket.IO server over WebSocket, as lean as `agent.rs`: Engine.IO's packets are found by their first
//! bytes, pings are answered, and from `join_lesson` on it counts what it is sent.

use crate::{
    frame::masked_text,
    handshake,
    listening::{Ear, Listener, Outcome},
    tally::{Counted, Tally},
    tick::Tick,
};
use anyhow::Result;
use serde_json::json;
use std::{net::SocketAddr, sync::Arc};

/// The org that everybody here belongs to.
pub(crate) const ORG: &str = "bench";

/// A student: by its token, and with the lesson that it joins, if it does.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) user: String,
    pub(crate) token: Arc<str>,
    pub(crate) lesson: Option<String>,
}

#[derive(Debug)]
pub(crate) struct App {
    listener: Listener<AppEar>,
    user: String,
}

/// What this client has understood.
#[derive(Debug, Default)]
struct AppEar {
    opened: bool,
    connected: bool,
    joined: bool,
    next: Option<u64>,
}

/// Where a client with this role and token opens its connection.
pub(crate) fn path(role: &str, token: &str) -> String {
    format!("/socket.io/?EIO=4&transport=websocket&role={role}&org_id={ORG}&auth={token}")
}

impl App {
    /// Returns once it is connected, and in its lesson if it joins one.
    pub(crate) async fn connect(address: SocketAddr, visitor: &Visitor, tally: &Arc<Tally>) -> Result<Self> {
        let (tcp, early) = handshake::open(address, &path("student", &visitor.token)).await?;
        let mut listener = Listener::new(tcp, &early, AppEar::default(), tally);
        listener.until("open packet", |ear| ear.opened).await?;
        listener.send(&masked_text(b"40")).await?;
        listener.until("connect packet", |ear| ear.connected).await?;
        let mut app = Self { listener, user: visitor.user.clone() };
        if let Some(lesson) = &visitor.lesson {
            app.join(lesson).await?;
        }
        Ok(app)
    }

    /// Returns once it is acknowledged.
    pub(crate) async fn join(&mut self, lesson: &str) -> Result<()> {
        let request = json!({ "user_id": self.user, "lesson_id": lesson, "role": "student" });
        self.listener.send(&masked_text(format!(r#"420["join_lesson",{request}]"#).as_bytes())).await?;
        self.listener.until("acknowledgement of join_lesson", |ear| ear.joined).await
    }

    /// Reads until the socket ends; says why it did.
    pub(crate) async fn run(self) -> String {
        self.listener.run().await
    }
}

impl Ear for AppEar {
    fn hear_text(&mut self, text: &[u8], counted: &mut Counted, now: u64, out: &mut Outcome) {
        let quoted = || String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
        if let Some(argument) = text.strip_prefix(br#"42["event","#) {
            if let Some(tick) = Tick::find(argument) {
                counted.hear(tick, &mut self.next, now);
            }
        } else if text == b"2" {
            out.reply(&masked_text(b"3"));
        } else if text.starts_with(b"0") {
            self.opened = true;
        } else if text.starts_with(b"40") {
            self.connected = true;
        } else if is_success(text) {
            self.joined = true;
        } else if text == b"6" || text.starts_with(br#"42["event""#) {
            // Engine.IO's noop.
        } else {
            // A disconnect (41), a refusal (44), an ERROR (430), the end (1): nothing that is meant to come here.
            out.end(quoted());
        }
    }
}

/// Whether it is the acknowledgement that grants what was asked for. In which order its keys stand is the server's choice.
fn is_success(text: &[u8]) -> bool {
    const SUCCESS: &[u8] = br#""status":"SUCCESS""#;
    text.starts_with(b"430[") && text.windows(SUCCESS.len()).any(|window| window == SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(ear: &mut AppEar, texts: &[&str]) -> (Counted, Outcome) {
        let (mut counted, mut out) = (Counted::default(), Outcome::default());
        for text in texts {
            ear.hear_text(text.as_bytes(), &mut counted, 12, &mut out);
        }
        (counted, out)
    }

    #[test]
    fn it_follows_a_connection_from_the_open_packet_to_the_lesson() {
        let mut ear = AppEar::default();
        heard(&mut ear, &[r#"0{"sid":"x"}"#]);
        assert!(ear.opened && !ear.connected);
        heard(&mut ear, &[r#"40{"sid":"y"}"#]);
        assert!(ear.connected && !ear.joined);
        let (_, out) = heard(&mut ear, &[r#"430[{"data":{},"status":"SUCCESS"}]"#, "2"]);
        assert!(ear.joined);
        assert_eq!(out.parts(), (&masked_text(b"3")[..], None));
    }

    #[test]
    fn deliveries_are_counted_and_whatever_else_comes_ends_it() {
        let payload = Tick { number: 3, at: 5 }.payload();
        let event = format!(
            r#"42["event",{{"id":{{"entity_type":"bench","operation":"tick","sequence_id":1}},"payload":{payload},"seq":9}},"9"]"#
        );
        let entered = r#"42["event",{"id":{"entity_type":"agent"}},"8"]"#;
        let (counted, out) = heard(&mut AppEar::default(), &[&event, entered]);
        assert_eq!((counted.latencies, out.parts().1), (vec![7], None));
        for end in
            ["41", "1", r#"44{"message":"no"}"#, r#"430[{"status":"ERROR"}]"#, r#"42["terminated",{}]"#]
        {
            assert_eq!(heard(&mut AppEar::default(), &[end]).1.parts().1, Some(end));
        }
    }
}
