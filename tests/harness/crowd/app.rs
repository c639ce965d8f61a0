//! A classroom app's socket: Engine.IO and Socket.IO, put into the words of the native door, so that a member lives the same
//! life at either.
//!
//! It does not ask to be recovered: whoever is recovered is not told by which session, and a history without that cannot be
//! judged.

use crate::{
    app::Frame as Packet,
    app::{Engine, Opening, Person, Signal, Way},
    socket::{Event, Frame},
};
use anyhow::{Context, Result};
use presence_api::frames::{Connected, ServerFrame, Snapshot};
use serde_json::{Value, json};

/// As whom and by which way an app enters.
#[derive(Debug, Clone)]
pub struct Guise {
    pub person: Person,
    pub way: Way,
    pub opening: Opening,
}

/// The connection, once it is open.
#[derive(Debug)]
pub(super) struct AppLine {
    engine: Engine,
    /// A close that was asked for is the end that was asked for.
    parts: Option<Way>,
    way: Way,
}

/// What came on it.
#[derive(Debug)]
pub(super) enum Came {
    /// It was let in as this socket.
    LetIn(String),
    /// `join_lesson` was granted.
    Joined(Connected),
    /// The one or the other was not, for this reason.
    Refused(String),
    Frame(Frame),
    /// A sign of life, or nothing that matters.
    Nothing,
}

impl AppLine {
    /// It sees pings itself, as signs of life.
    pub(super) async fn open(to: std::net::SocketAddr, guise: &Guise) -> Result<Self> {
        let opening = guise.opening.clone().by(guise.way).deaf();
        Ok(Self { engine: Engine::open(to, &opening).await?, parts: None, way: guise.way })
    }

    pub(super) async fn say(&self, text: &str) -> Result<()> {
        self.engine.send(Packet::Text(text.into())).await
    }

    pub(super) async fn ask_in(&self) -> Result<()> {
        self.say("40").await
    }

    pub(super) async fn join(&self, person: &Person, lesson: &str) -> Result<()> {
        self.say(&format!(r#"420["join_lesson",{}]"#, person.joining(lesson))).await
    }

    /// A `DISCONNECT`, and then the end of the connection.
    pub(super) async fn part(&mut self) -> Result<()> {
        self.parts = Some(self.way);
        self.say("41").await?;
        self.engine.close().await
    }

    /// What comes next; nothing is lost when this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Came> {
        let text = match self.engine.hear().await {
            Signal::Frame(Packet::Text(text)) => text,
            Signal::Frame(Packet::Binary(_)) => return Ok(Came::Nothing),
            // A close packet says nothing of why, and an answer to a poll may have waited for its client.
            Signal::Closed(0) => return Ok(Came::Frame(Frame::Gone)),
            Signal::Closed(code) => return Ok(Came::Frame(Frame::Closed { code, reason: String::new() })),
            // Over a WebSocket what was said before is read before the end.
            Signal::Gone(reason) if self.parts == Some(Way::WebSocket) => {
                return Ok(Came::Frame(Frame::Closed { code: 1000, reason }));
            }
            Signal::Gone(_) => return Ok(Came::Frame(Frame::Gone)),
        };
        if text == "2" {
            // One that cannot be answered is over, which shows at the next read.
            let _ = self.say("3").await;
            return Ok(Came::Nothing);
        }
        read(&text).with_context(|| format!("understand {text}"))
    }
}

fn read(text: &str) -> Result<Came> {
    let Some(packet) = text.strip_prefix('4') else { return Ok(Came::Nothing) };
    let (kind, rest) = packet.split_at_checked(1).context("an empty message")?;
    Ok(match kind {
        "0" => Came::LetIn(string(&serde_json::from_str(rest)?, "sid")?),
        // Told before, if there was anything to tell: whoever hears it does not come back by itself.
        "1" => Came::Frame(Frame::Closed { code: 4500, reason: "DISCONNECT".into() }),
        "2" => event(&serde_json::from_str(rest)?)?,
        "3" => acknowledged(&serde_json::from_str(rest.trim_start_matches(|c: char| c.is_ascii_digit()))?)?,
        "4" => Came::Refused(string(&serde_json::from_str::<Value>(rest)?["data"], "code")?),
        _ => Came::Nothing,
    })
}

fn string(of: &Value, key: &str) -> Result<String> {
    Ok(of[key].as_str().with_context(|| format!("{of} has no {key}"))?.to_owned())
}

fn acknowledged(args: &Value) -> Result<Came> {
    let answer = &args[0];
    if answer["status"] != "SUCCESS" {
        return Ok(Came::Refused(string(&answer["data"], "code")?));
    }
    let data = &answer["data"];
    let snapshot: Snapshot = serde_json::from_value(data.clone()).context("read the state of a lesson")?;
    let session_id = data["session_id"].as_i64().context("no session_id")?;
    Ok(Came::Joined(Connected { session_id, resumed: false, replica: String::new(), snapshot }))
}

fn event(packet: &Value) -> Result<Came> {
    let argument = packet[1].clone();
    let said = |kind: &str, payload: Value| -> Result<Came> {
        let frame: ServerFrame = serde_json::from_value(json!({ "type": kind, "payload": payload }))?;
        Ok(Came::Frame(Frame::Said(frame)))
    };
    match packet[0].as_str().unwrap_or_default() {
        "event" => {
            let id = serde_json::from_value(argument["id"].clone()).context("read an event's id")?;
            let seq = argument["seq"].as_u64().context("an event without seq")?;
            Ok(Came::Frame(Frame::Event(Event { id, payload: argument["payload"].clone(), seq })))
        }
        "resync" => said("resync", argument),
        "terminated" => {
            let mut payload = json!({ "type": "terminated", "title": "terminated", "status": 422 });
            payload["reconnect_after_ms"] = argument["reconnect_after_ms"].clone();
            said("recoverable_session_error", payload)
        }
        "session_error" => said("unrecoverable_session_error", argument),
        _ => Ok(Came::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_put_into_the_words_of_the_native_door() {
        assert!(matches!(read(r#"40{"sid":"s","pid":"p"}"#).unwrap(), Came::LetIn(sid) if sid == "s"));
        let joined = r#"430[{"status":"SUCCESS","data":{"lesson_id":"l","session_id":7,"seq":9,"agents":[],"agents_total":0}}]"#;
        assert!(
            matches!(read(joined).unwrap(), Came::Joined(it) if it.session_id == 7 && it.snapshot.seq == 9)
        );
        let refused = r#"430[{"status":"ERROR","data":{"code":"unavailable","message":"m"}}]"#;
        assert!(matches!(read(refused).unwrap(), Came::Refused(code) if code == "unavailable"));
        let event = r#"42["event",{"id":{"entity_type":"chat","operation":"added","sequence_id":1},"payload":{},"seq":5},"5"]"#;
        assert!(matches!(read(event).unwrap(), Came::Frame(Frame::Event(it)) if it.seq == 5));
        let terminated = r#"42["terminated",{"reconnect_after_ms":5,"reason":"shutdown"}]"#;
        assert!(
            matches!(read(terminated).unwrap(), Came::Frame(Frame::Said(ServerFrame::RecoverableSessionError(it))) if it.reconnect_after_ms == Some(5))
        );
        assert!(matches!(read("41").unwrap(), Came::Frame(Frame::Closed { code: 4500, .. })));
    }
}
