//! A report as Mixpanel documents an event: its JSON, its `$insert_id`, its limits.

use crate::ports::analytics::Report;
use presence_core::ids::{ClassroomId, UserId};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Mixpanel cuts off what is longer.
const MAX_CHARS: usize = 255;

/// Ids that Mixpanel does not believe to be anybody's, as far as one of ours can be spelt like them.
const NOBODY: [&str; 13] = [
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "na",
    "undefined",
    "unknown",
    "0",
    "-1",
    "true",
    "false",
];

#[derive(Serialize)]
pub(super) struct Event<'a> {
    event: &'static str,
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Properties<'a> {
    token: &'a str,
    /// Milliseconds since 1970.
    time: i64,
    distinct_id: &'a str,
    #[serde(rename = "$insert_id")]
    insert_id: String,
    org: &'a str,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lesson: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
}

pub(super) fn event<'a>(report: &'a Report, token: &'a str) -> Event<'a> {
    Event {
        event: report.what.as_str(),
        properties: Properties {
            token,
            time: report.at.0.div_euclid(1_000),
            distinct_id: report.user_id.as_str(),
            insert_id: insert_id(report),
            org: report.org_id.as_str(),
            role: &report.role,
            lesson: report.lesson.as_ref().map(ClassroomId::as_str),
            room: report.room.as_deref(),
        },
    }
}

/// The same for the same fact. 32 hexadecimal digits: Mixpanel takes at most 36 letters, digits and hyphens, and a
/// socket's id may be longer and hold others.
fn insert_id(report: &Report) -> String {
    let fact = format!("{} {}", report.what.as_str(), report.sid);
    let digest: [u8; 32] = Sha256::digest(fact.as_bytes()).into();
    let half = digest.iter().take(16).fold(0, |half, byte| half << 8 | u128::from(*byte));
    format!("{half:032x}")
}

/// Whether Mixpanel believes that this is somebody.
pub(super) fn is_somebody(user: &UserId) -> bool {
    !NOBODY.contains(&user.as_str())
}

/// Cuts off what Mixpanel would, so that no report is larger than it has to be while it waits.
pub(super) fn shorten(report: &mut Report) {
    let texts = [Some(&mut report.role), report.room.as_mut()];
    for text in texts.into_iter().flatten() {
        if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
            text.truncate(end);
        }
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::analytics::What;
    use presence_core::time::UnixMicros;

    fn report(what: What, sid: &str) -> Report {
        Report {
            what,
            user_id: "t-1".parse().unwrap(),
            org_id: "school".parse().unwrap(),
            role: "teacher".into(),
            lesson: None,
            room: None,
            at: UnixMicros(1_618_716_477_000_999),
            sid: sid.parse().unwrap(),
        }
    }

    #[test]
    fn an_event_is_written_as_documented() {
        let mut report = report(What::Reconnect, "abc");
        let written = |report: &Report| serde_json::to_value(event(report, "t0ken")).unwrap();
        let id = insert_id(&report);
        let expected = serde_json::json!({"event": "reconnect", "properties": {
            "token": "t0ken", "time": 1_618_716_477_000_i64, "distinct_id": "t-1", "$insert_id": id,
            "org": "school", "role": "teacher",
        }});
        assert_eq!(written(&report), expected);
        report.lesson = Some("math".parse().unwrap());
        report.room = Some("r\"7".into());
        let properties = &written(&report)["properties"];
        assert_eq!((&properties["lesson"], &properties["room"]), (&"math".into(), &"r\"7".into()));
    }

    #[test]
    fn a_fact_has_one_insert_id_and_no_other_fact_has_it() {
        let of = |what, sid| insert_id(&report(what, sid));
        let mut later = report(What::Disconnect, "abc");
        later.at = UnixMicros(1);
        assert_eq!(of(What::Disconnect, "abc"), insert_id(&later));
        assert_ne!(of(What::Disconnect, "abc"), of(What::Reconnect, "abc"));
        assert_ne!(of(What::Disconnect, "abc"), of(What::Disconnect, "abd"));
        let long = of(What::Disconnect, &"_".repeat(64));
        assert!(long.len() <= 36 && long.bytes().all(|b| b.is_ascii_alphanumeric()), "{long}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut report = report(What::Reconnect, "abc");
        report.role = "é".repeat(100_000);
        report.room = Some("x".repeat(255));
        shorten(&mut report);
        assert_eq!(report.role, "é".repeat(255));
        assert!(report.role.capacity() < 1024);
        assert_eq!(report.room.map(|room| room.len()), Some(255));
    }

    #[test]
    fn nobody_is_not_reported() {
        for user in NOBODY {
            assert!(!is_somebody(&user.parse().unwrap()), "{user}");
        }
        assert!(is_somebody(&"nobody".parse().unwrap()));
    }
}
