//! A classroom app's side of the Socket.IO door, over a WebSocket: it asks to be let in, joins its lesson, answers pings, and
//! puts what it hears into the words of the native door, so that an agent lives the same life at either.
//!
//! It does not ask to be recovered: whoever is recovered is not told by which session, and such a history cannot be judged.

use super::words::{Welcome, Words, event};
use crate::{app, frame::masked_text};
use presence_api::{
    event::EventId,
    frames::SessionError,
    lesson::{Ack, Joined, Problem, Terminated},
};
use presence_core::close::Reason;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

/// Whom a swarm's apps are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guise {
    pub(crate) user: String,
    /// `teacher` or `student`.
    pub(crate) role: &'static str,
    pub(crate) lesson: String,
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Talk {
    guise: Guise,
    /// How the server will end it, once it has said so.
    told: Option<u16>,
}

/// What a packet means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// To be sent.
    Reply(Vec<u8>),
    /// It was let in as this socket, and asks for its lesson.
    LetIn(String, Vec<u8>),
    Words(Words),
    /// It is not let in, or not into its lesson; there is nothing more to be had of this socket.
    Refused(String),
    /// Disconnected, and how.
    Over(u16),
    Nothing,
    Gibberish,
}

#[derive(Deserialize)]
struct Sid {
    sid: String,
}

#[derive(Deserialize)]
struct Refusal {
    data: Problem,
}

#[derive(Deserialize)]
struct Told {
    id: EventId,
    payload: Box<RawValue>,
    seq: u64,
}

#[derive(Deserialize)]
struct Snapshot {
    seq: u64,
    agents_total: u64,
}

impl Guise {
    pub(crate) fn path(&self, token: &str) -> String {
        app::path(self.role, token)
    }

    fn joining(&self) -> Vec<u8> {
        let Self { user, role, lesson } = self;
        let request = json!({ "user_id": user, "lesson_id": lesson, "role": role });
        masked_text(format!(r#"420["join_lesson",{request}]"#).as_bytes())
    }
}

impl Talk {
    pub(crate) const fn of(guise: Guise) -> Self {
        Self { guise, told: None }
    }

    pub(crate) fn hear(&mut self, text: &[u8]) -> Meant {
        match text {
            b"2" => Meant::Reply(masked_text(b"3")),
            [b'0', ..] => Meant::Reply(masked_text(b"40")),
            [b'4', packet @ ..] => self.hear_packet(packet).unwrap_or(Meant::Gibberish),
            b"1" => Meant::Over(self.told.unwrap_or(NO_CODE)),
            _ => Meant::Nothing,
        }
    }

    fn hear_packet(&mut self, packet: &[u8]) -> Option<Meant> {
        let (kind, rest) = packet.split_first()?;
        Some(match kind {
            b'0' => {
                let Sid { sid } = serde_json::from_slice(rest).ok()?;
                Meant::LetIn(sid, self.guise.joining())
            }
            b'1' => Meant::Over(self.told.unwrap_or(DO_NOT_COME_BACK)),
            b'2' => self.hear_event(rest)?,
            b'3' => {
                let args = rest.get(rest.iter().position(|byte| *byte == b'[')?..)?;
                let [answer]: [Ack<Joined>; 1] = serde_json::from_slice(args).ok()?;
                match answer {
                    Ack::Success(joined) => Meant::Words(Words::Welcome(welcome(&joined))),
                    Ack::Error(problem) => Meant::Refused(reason(&problem.code)),
                }
            }
            b'4' => {
                let Refusal { data } = serde_json::from_slice(rest).ok()?;
                Meant::Refused(reason(&data.code))
            }
            _ => Meant::Nothing,
        })
    }

    fn hear_event(&mut self, array: &[u8]) -> Option<Meant> {
        let args: Vec<&RawValue> = serde_json::from_slice(array).ok()?;
        let (name, argument) = (args.first()?.get(), args.get(1)?.get());
        Some(Meant::Words(match name {
            r#""event""# => {
                let Told { id, payload, seq } = serde_json::from_str(argument).ok()?;
                Words::Event(event(id, seq, payload.get(), &self.guise.lesson))
            }
            r#""resync""# => {
                let Snapshot { seq, agents_total } = serde_json::from_str(argument).ok()?;
                Words::Resync { seq, agents_total }
            }
            r#""terminated""# => {
                let told: Terminated = serde_json::from_str(argument).ok()?;
                let reconnect_after_ms = Some(told.reconnect_after_ms);
                Words::Error { kind: Reason::Terminated.row().name.to_owned(), reconnect_after_ms }
            }
            r#""session_error""# => {
                let error: SessionError = serde_json::from_str(argument).ok()?;
                let row = Reason::ALL.iter().map(|reason| reason.row()).find(|row| row.name == error.kind);
                self.told = row.map(|row| row.code);
                Words::Error { kind: error.kind, reconnect_after_ms: error.reconnect_after_ms }
            }
            _ => Words::Unknown,
        }))
    }
}

/// Nothing to name an end by, and one that says that it is for good.
const NO_CODE: u16 = 1005;
const DO_NOT_COME_BACK: u16 = 4500;

/// What passes is waited out; for everything else the close table has the same name.
fn reason(code: &str) -> String {
    if code == "unavailable" { Reason::Overloaded.row().name.to_owned() } else { code.to_owned() }
}

/// The door does not say on which replica it is.
fn welcome(joined: &Joined) -> Welcome {
    let &Joined { session_id, seq, agents_total, .. } = joined;
    Welcome { session_id, resumed: false, replica: String::new(), seq, agents_total }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Talk {
        Talk::of(Guise { user: "u".into(), role: "student", lesson: "l".into() })
    }

    #[test]
    fn it_asks_for_what_comes_next() {
        let mut talk = talk();
        assert_eq!(talk.hear(br#"0{"sid":"e"}"#), Meant::Reply(masked_text(b"40")));
        let Meant::LetIn(sid, asks) = talk.hear(br#"40{"sid":"s","pid":"p"}"#) else { panic!() };
        assert_eq!((sid.as_str(), asks), ("s", talk.guise.joining()));
        let joined = br#"430[{"status":"SUCCESS","data":{"lesson_id":"l","session_id":7,"seq":9,"agents":[],"agents_total":1}}]"#;
        let Meant::Words(Words::Welcome(welcome)) = talk.hear(joined) else { panic!() };
        assert_eq!((welcome.session_id, welcome.seq), (7, 9));
        assert_eq!(talk.hear(b"2"), Meant::Reply(masked_text(b"3")));
    }

    #[test]
    fn what_passes_is_waited_out_and_what_does_not_is_named() {
        let mut talk = talk();
        let refused = br#"430[{"status":"ERROR","data":{"code":"unavailable","message":"m"}}]"#;
        assert_eq!(talk.hear(refused), Meant::Refused("overloaded".into()));
        let refused = br#"44{"message":"m","data":{"code":"access_denied","message":"m"}}"#;
        assert_eq!(talk.hear(refused), Meant::Refused("access_denied".into()));
        let told = br#"42["session_error",{"type":"replaced","title":"t","status":422}]"#;
        assert!(matches!(talk.hear(told), Meant::Words(Words::Error { kind, .. }) if kind == "replaced"));
        assert_eq!(talk.hear(b"41"), Meant::Over(Reason::Replaced.row().code));
    }

    #[test]
    fn events_are_understood_and_nonsense_is_not() {
        let mut talk = talk();
        let event = br#"42["event",{"id":{"entity_type":"swarm","operation":"o","sequence_id":1},"payload":{"due":4},"seq":5},"5"]"#;
        assert!(
            matches!(talk.hear(event), Meant::Words(Words::Event(it)) if it.seq == 5 && it.due == Some(4))
        );
        assert_eq!(talk.hear(br#"42["log_out",{}]"#), Meant::Words(Words::Unknown));
        for bad in [&b"40{"[..], b"42[", b"430[{}]"] {
            assert_eq!(talk.hear(bad), Meant::Gibberish);
        }
    }
}
