//! The native door's words: the first frame is parsed into ids, and every ending is written by the close table.

use crate::{
    conversation::{Conversation, Desk, Heard, Malformed, Said, Seated, Served, Words, encode},
    engine::Engine,
    flows::connect::{Connected, Refused, Request, Token, Wish, connect},
    telemetry::metrics::Outcome,
};
use bytes::Bytes;
use presence_api::frames::{self, ConnectRequest, Resume, ServerFrame, SessionError};
use presence_core::close::{Frame, Reason};
use serde_json::Value;
use std::time::Duration;

/// The conversation of `/ws`: one request, and from then on events.
#[derive(Debug, Default)]
pub struct Native {
    request: Option<Request>,
    connected: bool,
}

impl Conversation for Native {
    fn hear(&mut self, said: Said) -> Heard {
        if self.connected {
            return Heard::Nothing;
        }
        let parsed = match said {
            Said::Text(text) => parse(&text),
            Said::Binary(_) => Err(unsupported("the frame is not text")),
        };
        match parsed {
            Ok(request) => {
                self.request = Some(request);
                Heard::Request
            }
            Err(malformed) => Heard::Malformed(malformed),
        }
    }

    async fn serve(&mut self, Desk { engine, fence, mailbox }: Desk<'_>) -> Served {
        let Some(request) = self.request.take() else {
            return Served::Refused(Refused(Reason::InternalServerError));
        };
        let began = engine.deps.clock.now();
        let outcome = connect(engine, request, fence, mailbox).await;
        let took = Duration::from_millis(engine.deps.clock.now().since(began));
        let outcome_of = |refused: &Refused| Outcome::Refused(refused.0);
        engine.deps.metrics.connect(outcome.as_ref().err().map_or(Outcome::Connected, outcome_of), took);
        match outcome {
            Ok(connected) => {
                self.connected = true;
                let frames = welcome(&connected);
                let Connected { seat, line, expires, .. } = connected;
                Served::Connected { seated: Seated { seat, line, expires }, frames }
            }
            Err(refused) => Served::Refused(refused),
        }
    }

    fn ending(&mut self, reason: Reason, words: &Words) -> Vec<Bytes> {
        ending(reason, words).into_iter().collect()
    }

    async fn over(&mut self, _: &Engine, _: bool) {}
}

fn welcome(connected: &Connected) -> Vec<Bytes> {
    let missed = connected.missed.as_deref();
    let success = ServerFrame::ConnectSuccess(frames::Connected {
        session_id: connected.line.held().session_id.0,
        resumed: missed.is_some(),
        replica: connected.replica.clone(),
        snapshot: connected.snapshot.clone(),
    });
    let mut welcome = vec![encode(&success)];
    if connected.asked_to_resume && missed.is_none() {
        welcome.push(encode(&ServerFrame::Resync(connected.snapshot.clone())));
    }
    let events = missed.unwrap_or_default().iter().filter(|event| event.is_for(connected.agent_id.as_str()));
    welcome.extend(events.map(|event| event.frame.clone()));
    welcome
}

fn unsupported(detail: &str) -> Malformed {
    Malformed { reason: Reason::UnsupportedRequest, detail: detail.into() }
}

fn failed(detail: String) -> Malformed {
    Malformed { reason: Reason::SerializationFailed, detail }
}

fn parse(text: &[u8]) -> Result<Request, Malformed> {
    let value: Value = serde_json::from_slice(text).map_err(|_| failed("the frame is not JSON".into()))?;
    let Value::Object(mut frame) = value else {
        return Err(unsupported("the frame is not an object"));
    };
    match frame.get("type") {
        None => return Err(failed("type is missing".into())),
        Some(Value::String(kind)) if kind == "connect_request" => {}
        Some(_) => return Err(unsupported("type is not connect_request")),
    }
    let payload = frame.remove("payload").ok_or_else(|| failed("payload is missing".into()))?;
    let request = fields(&payload)?;
    let wish = Wish {
        label: id(&request.agent_label, "agent_label")?,
        classroom_id: id(&request.classroom_id, "classroom_id")?,
        resume: request.resume,
    };
    Ok(Request { token: Token::new(request.token), wish })
}

fn id<T: std::str::FromStr<Err = presence_core::ids::IdError>>(
    text: &str,
    field: &str,
) -> Result<T, Malformed> {
    text.parse().map_err(|error: presence_core::ids::IdError| {
        failed(format!("payload.{field} must be {}", error.expected))
    })
}

fn fields(payload: &Value) -> Result<ConnectRequest, Malformed> {
    let text = |field: &str| match payload.get(field) {
        None => Err(failed(format!("payload.{field} is missing"))),
        Some(Value::String(text)) if text.is_empty() => Err(failed(format!("payload.{field} is empty"))),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(failed(format!("payload.{field} is not a string"))),
    };
    let resume = match payload.get("resume") {
        None | Some(Value::Null) => None,
        Some(resume) => Some(resume_of(resume)?),
    };
    Ok(ConnectRequest {
        agent_label: text("agent_label")?,
        classroom_id: text("classroom_id")?,
        token: text("token")?,
        resume,
    })
}

fn resume_of(resume: &Value) -> Result<Resume, Malformed> {
    let number =
        |field: &str| resume.get(field).ok_or_else(|| failed(format!("payload.resume.{field} is missing")));
    let wrong = |field: &str| failed(format!("payload.resume.{field} is not a whole number from 0"));
    let session_id =
        number("session_id")?.as_i64().filter(|id| *id >= 0).ok_or_else(|| wrong("session_id"))?;
    let last_seq = number("last_seq")?.as_u64().ok_or_else(|| wrong("last_seq"))?;
    Ok(Resume { session_id, last_seq })
}

fn ending(reason: Reason, words: &Words) -> Option<Bytes> {
    let row = reason.row();
    let error = SessionError {
        detail: words.detail.clone(),
        reconnect_after_ms: words.reconnect_after_ms,
        reason: words.reason.map(Into::into),
        ..row.into()
    };
    let frame = match row.frame {
        Frame::Unrecoverable => ServerFrame::UnrecoverableSessionError(error),
        Frame::Recoverable => ServerFrame::RecoverableSessionError(error),
        Frame::None => return None,
    };
    Some(encode(&frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Reason, String) {
        let malformed = parse(text.as_bytes()).unwrap_err();
        (malformed.reason, malformed.detail)
    }

    fn payload(fields: &str) -> String {
        format!(r#"{{"type":"connect_request","payload":{{{fields}}}}}"#)
    }

    const GOOD: &str = r#""agent_label":"web","classroom_id":"math","token":"t""#;

    #[test]
    fn a_good_request_is_parsed() {
        let request = parse(payload(GOOD).as_bytes()).unwrap();
        let Wish { label, classroom_id, resume } = request.wish;
        assert_eq!((label.as_str(), classroom_id.as_str(), resume), ("web", "math", None));
        let resume = format!(r#"{GOOD},"resume":{{"session_id":7,"last_seq":123}}"#);
        let request = parse(payload(&resume).as_bytes()).unwrap();
        assert_eq!(request.wish.resume, Some(Resume { session_id: 7, last_seq: 123 }));
    }

    #[test]
    fn json_of_another_type_is_unsupported() {
        for text in ["[]", "1", "null", r#"{"type":"ping"}"#, r#"{"type":7}"#] {
            assert_eq!(refused(text).0, Reason::UnsupportedRequest, "{text}");
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        let cases = [
            ("{", "not JSON"),
            ("{}", "type is missing"),
            (r#"{"type":"connect_request"}"#, "payload is missing"),
            (&payload(r#""classroom_id":"c","token":"t""#), "payload.agent_label is missing"),
            (&payload(r#""agent_label":"","classroom_id":"c","token":"t""#), "payload.agent_label is empty"),
            (
                &payload(r#""agent_label":"web","classroom_id":"a.b","token":"t""#),
                "payload.classroom_id must be",
            ),
            (
                &payload(r#""agent_label":"web","classroom_id":"c","token":1"#),
                "payload.token is not a string",
            ),
            (&payload(&format!(r#"{GOOD},"resume":7"#)), "payload.resume.session_id is missing"),
            (&payload(&format!(r#"{GOOD},"resume":{{"session_id":-1,"last_seq":0}}"#)), "resume.session_id"),
            (&payload(&format!(r#"{GOOD},"resume":{{"session_id":1,"last_seq":"x"}}"#)), "resume.last_seq"),
        ];
        for (text, named) in cases {
            let (reason, detail) = refused(text);
            assert_eq!(reason, Reason::SerializationFailed, "{text}");
            assert!(detail.contains(named), "{text}: {detail}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert_eq!(refused(&"[".repeat(16_000)).0, Reason::SerializationFailed);
    }

    #[test]
    fn endings_read_as_existing_clients_know_them() {
        let text =
            |reason, words: &Words| String::from_utf8(ending(reason, words).unwrap().to_vec()).unwrap();
        assert_eq!(
            text(Reason::Replaced, &Words::default()),
            r#"{"type":"unrecoverable_session_error","payload":{"type":"replaced","title":"Replaced","status":422}}"#
        );
        let words = Words { reconnect_after_ms: Some(40), reason: Some("shutdown"), ..Words::default() };
        assert_eq!(
            text(Reason::Terminated, &words),
            concat!(
                r#"{"type":"recoverable_session_error","payload":{"type":"terminated","title":"terminated","#,
                r#""status":422,"reconnect_after_ms":40,"reason":"shutdown"}}"#
            )
        );
        assert_eq!(ending(Reason::MessageTooBig, &Words::default()), None);
    }
}
