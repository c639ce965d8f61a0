//! Every id of the product, parsed once at the edge.
//!
//! Past a door nobody handles a raw string id or checks one again: a value of these types already fits a NATS
//! subject, a Redis key and a SQL column. The grammar is section 1 of `docs/PROTOCOL.md`.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is no id. The message names what was expected, never the text itself: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}")]
pub struct IdError {
    pub what: &'static str,
    pub expected: &'static str,
}

const WORD: &str = "1 to 64 characters of A-Z a-z 0-9 _ -";
const PRINTABLE: &str = "1 to 255 printable ASCII characters without space or quotes";

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

const NAME: &str = "1 to 128 characters of A-Z a-z 0-9 _ - . @, and no name of a lesson's key";
const ORG: &str = "1 to 128 characters of A-Z a-z 0-9 _ - . @, without _user_ in it or _user at its end";

fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@');
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

/// A user's id is a key of its own in Redis, beside those of lessons.
fn is_user_id(text: &str) -> bool {
    let keys = ["lesson_seat_", "lesson_teacher_", "lesson_student_", "lesson_room_"];
    is_name(text) && !keys.iter().any(|key| text.starts_with(key))
}

/// In `org_{org_id}_user_{user_id}` the first `_user_` must be the one between the two ids.
fn is_org_id(text: &str) -> bool {
    is_name(text) && !text.contains("_user_") && !text.ends_with("_user")
}

fn is_printable(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(is_printable_byte)
}

fn is_printable_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`')
}

/// A shared, immutable text id; cloning it costs a reference count.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:expr, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if $accepts(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { what: $what, expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A classroom, which is also a lesson: the room that people are present in.
    ClassroomId, "classroom_id", WORD, is_word
}
text_id! {
    /// What kind of client an agent is, in the client's own word: `web`, `app`, `bot`.
    AgentLabel, "agent_label", WORD, is_word
}
text_id! {
    /// Who somebody is within an audience: a token's `sub`.
    Account, "account", PRINTABLE, is_printable
}
text_id! {
    /// Whose accounts they are: a token's `aud`.
    Audience, "audience", PRINTABLE, is_printable
}
text_id! {
    /// Whom a classroom app acts for: a token's `sub`, which is also its client id.
    UserId, "user_id", NAME, is_user_id
}
text_id! {
    /// Whose classrooms they are: a token's `org_id`.
    OrgId, "org_id", ORG, is_org_id
}
text_id! {
    /// One classroom app's connection: made of 128 random bits, which is what others see of it. One that was taken up again
    /// has 128 bits of its own behind those.
    SocketId, "sid", WORD, is_word
}
text_id! {
    /// By what a classroom app's connection is taken up again: made of 128 random bits, known to its client alone.
    RecoveryId, "pid", WORD, is_word
}
text_id! {
    /// One client of one account: `{label}.{account}.{audience}`.
    AgentId, "agent_id", "{label}.{account}.{audience}", is_agent_id
}

/// An account may hold dots, so an agent id cannot be taken apart without knowing its audience; nobody needs to.
fn is_agent_id(text: &str) -> bool {
    let Some((label, rest)) = text.split_once('.') else {
        return false;
    };
    let dot_inside = rest.len() > 2 && rest.as_bytes()[1..rest.len() - 1].contains(&b'.');
    is_word(label) && dot_inside && rest.len() <= 511 && rest.bytes().all(is_printable_byte)
}

impl AgentId {
    /// The one way an agent id comes from a token and a client's own label.
    pub fn new(label: &AgentLabel, account: &Account, audience: &Audience) -> Self {
        Self(format!("{label}.{account}.{audience}").into())
    }
}

/// Characters of 128 bits in base64.
const SHOWN: usize = 22;

impl SocketId {
    /// What others see: the same for a connection and for those that took it up.
    #[must_use]
    pub fn shown(&self) -> Self {
        Self(self.0.get(..SHOWN).map_or_else(|| self.0.clone(), Into::into))
    }

    /// Of a connection that takes this one up; `own` is its own.
    #[must_use]
    pub fn taken_up(&self, own: &Self) -> Self {
        Self(format!("{}{}", self.shown(), own.shown()).into())
    }
}

/// What a session is held by: one agent in one classroom. At most one session lives per key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    pub agent_id: AgentId,
    pub classroom_id: ClassroomId,
}

/// Given by the database, never twice. It is the `sequence_id` of the session's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// Grows with every claim of a key, so that a late write of a former holder touches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

/// Grows with every registration of a replica: what it asked for before its lease lapsed is not done after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fence(pub i64);

/// One process that holds sockets. A new one each time it starts, whatever its label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_classroom_id_is_one_word() {
        for good in ["a", "math-7", "A_b", "8a9c1b7e-1f7a-4d35-9d8a-1c2b3d4e5f60", &"x".repeat(64)] {
            assert!(good.parse::<ClassroomId>().is_ok(), "{good}");
        }
        for bad in ["", "*", ">", "a.b", "a b", "a\r\nb", "a:b", "й", "a/b", &"x".repeat(65)] {
            assert!(bad.parse::<ClassroomId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_account_may_be_base64_but_holds_no_space_or_quote() {
        assert!("Z2lkOi8vMTg=".parse::<Account>().is_ok());
        assert!("a.b@c/d+e==".parse::<Account>().is_ok());
        for bad in ["", "a b", "a\"b", "a'b", "tab\t", "\u{7f}", &"x".repeat(256)] {
            assert!(bad.parse::<Account>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_agent_id_has_three_parts() {
        assert!("web.Z2lkOi8vMTg=.school.example".parse::<AgentId>().is_ok());
        for bad in ["web", "web.x", "web..x", "web.x.", ".a.b", "we b.a.b", "web.a b.c", "web.йй.ж"] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_socket_that_was_taken_up_is_seen_as_before_and_is_another() {
        let id = |letter: &str| letter.repeat(SHOWN).parse::<SocketId>().unwrap();
        let again = id("a").taken_up(&id("b")).taken_up(&id("c"));
        assert_eq!(again.as_str(), format!("{}{}", id("a"), id("c")));
        assert_eq!((again.shown(), id("a").shown()), (id("a"), id("a")));
        assert!(again.as_str().parse::<SocketId>().is_ok());
    }

    #[test]
    fn a_replica_id_reads_as_a_uuid() {
        assert_eq!(ReplicaId(1).to_string(), "00000000-0000-0000-0000-000000000001");
    }

    proptest! {
        #[test]
        fn what_is_composed_parses_back(label in "[A-Za-z0-9_-]{1,64}", account in "[!#-&(-_a-~]{1,255}",
                                        audience in "[a-z.]{1,64}") {
            let (label, account, audience) = (label.parse().unwrap(), account.parse().unwrap(), audience.parse().unwrap());
            let id = AgentId::new(&label, &account, &audience);
            prop_assert_eq!(id.as_str().parse::<AgentId>(), Ok(id));
        }

        #[test]
        fn no_classroom_id_can_widen_a_subject(text in "\\PC{0,80}") {
            if let Ok(id) = text.parse::<ClassroomId>() {
                let subject = format!("classroom.{id}.agent");
                prop_assert_eq!(subject.split('.').count(), 3);
                prop_assert!(!subject.contains(['*', '>', ' ', '\r', '\n', ':']));
            }
        }
    }
}
