//! The stream's configuration: what we make, and what one that exists must have. Pure, over the server's own JSON, so
//! that settings which we do not know survive an update.

use super::options::{Storage, StreamOptions};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the stream captures: every service's events of every classroom.
const SUBJECTS: &str = "classroom.*.*";
/// What is kept is published again under here, with its position, for anybody who listens without a consumer.
pub(super) const LIVE: &str = "presence.live";
const LIVE_DESTINATION: &str = "presence.live.{{wildcard(1)}}.{{wildcard(2)}}";

/// The server's answer about a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// When it was made: tells a stream from another one of the same name.
    pub(super) created: String,
    pub(super) config: Map<String, Value>,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct State {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

impl State {
    /// Whether nothing in `(after, up_to]` can have been dropped from the stream's old end, or lies beyond its new one.
    /// What somebody deletes from the middle on purpose is not missing.
    pub(super) fn holds(self, after: u64, up_to: u64) -> bool {
        after.saturating_add(1) >= self.first_seq && up_to <= self.last_seq
    }
}

/// Where a stream made at this moment begins. A stream would have to take in a million messages a second, all its life,
/// for one made after it to begin below its end; and until the year 2242 positions stay below 2^53, which JavaScript
/// counts exactly. So a position of a stream that is gone lies below the new one, and cannot be mistaken for one of it.
/// Not even when the wall clock has gone back, or the second is still the same: `highest` is the highest position seen.
pub(super) fn first_position(unix_seconds: i64, highest: u64) -> u64 {
    const SECOND: u64 = 1 << 20;
    let by_the_clock = u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(SECOND);
    by_the_clock.max(highest.saturating_add(SECOND))
}

pub(super) fn made(options: &StreamOptions, first_position: u64) -> Value {
    json!({
        "name": options.name,
        "description": "What happens in classrooms",
        "subjects": [SUBJECTS],
        "retention": "limits",
        "discard": "old",
        "storage": match options.storage { Storage::File => "file", Storage::Memory => "memory" },
        "num_replicas": options.replicas,
        "max_age": nanos(options.max_age),
        "max_bytes": i64::try_from(options.max_bytes).unwrap_or(i64::MAX),
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_consumers": -1,
        "duplicate_window": nanos(options.duplicate_window.min(options.max_age)),
        "allow_direct": true,
        "republish": republish(),
        "first_seq": first_position,
    })
}

fn republish() -> Value {
    json!({ "src": SUBJECTS, "dest": LIVE_DESTINATION })
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What an existing stream lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    /// It will do with this configuration; `settings` are those that change.
    After {
        config: Map<String, Value>,
        settings: Vec<&'static str>,
    },
    /// These cannot be changed without breaking what others keep in it.
    No(Vec<String>),
}

pub(super) fn fit(config: &Map<String, Value>, options: &StreamOptions) -> Fit {
    let problems = problems(config);
    if !problems.is_empty() {
        return Fit::No(problems);
    }
    let mut amended = config.clone();
    let mut settings = vec![];
    let mut set = |name: &'static str, value: Value| {
        amended.insert(name.to_owned(), value);
        settings.push(name);
    };
    if let Some(subjects) = widened(config) {
        set("subjects", subjects);
    }
    if config.get("republish").is_none_or(Value::is_null) {
        set("republish", republish());
    }
    if config.get("allow_direct") != Some(&Value::Bool(true)) {
        set("allow_direct", Value::Bool(true));
    }
    // The server wants the window within the age, where there is one.
    let number = |name| config.get(name).and_then(Value::as_i64).unwrap_or(0);
    let age = Some(number("max_age")).filter(|age| *age > 0).unwrap_or(i64::MAX);
    let window = nanos(options.duplicate_window).min(age);
    if number("duplicate_window") < window {
        set("duplicate_window", window.into());
    }
    if settings.is_empty() { Fit::Yes } else { Fit::After { config: amended, settings } }
}

fn problems(config: &Map<String, Value>) -> Vec<String> {
    let mut problems = vec![];
    let text = |name| config.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("retention") != "limits" {
        problems.push(
            "retention must be limits: who has read an event must not take it from the others".to_owned(),
        );
    }
    if config.get("max_msgs_per_subject").and_then(Value::as_i64).unwrap_or(0) > 0 {
        problems.push("max_msgs_per_subject must be unlimited: history would have holes".to_owned());
    }
    for (name, why) in
        [("no_ack", "nobody would know that an event is kept"), ("sealed", "nothing could be published")]
    {
        if config.get(name) == Some(&Value::Bool(true)) {
            problems.push(format!("{name} must be off: {why}"));
        }
    }
    if config.get("mirror").is_some_and(|mirror| !mirror.is_null()) {
        problems.push("mirror must be unset: a mirror takes no events".to_owned());
    }
    let taken = config.get("republish").filter(|value| !value.is_null());
    if taken.is_some_and(|taken| !is_ours(taken)) {
        problems
            .push(format!("republish must be {SUBJECTS} to {LIVE_DESTINATION}: it is set to something else"));
    }
    problems
}

fn is_ours(republish: &Value) -> bool {
    let all_of_it = republish.get("headers_only").is_none_or(|value| value == &Value::Bool(false));
    republish["src"] == SUBJECTS && republish["dest"] == LIVE_DESTINATION && all_of_it
}

/// The subjects with ours among them, where they do not take ours in already.
fn widened(config: &Map<String, Value>) -> Option<Value> {
    let subjects = config.get("subjects").and_then(Value::as_array);
    let mut subjects: Vec<&str> = subjects.into_iter().flatten().filter_map(Value::as_str).collect();
    if subjects.iter().any(|subject| covers(subject, SUBJECTS)) {
        return None;
    }
    // Subjects of one stream must not overlap.
    subjects.retain(|subject| !covers(SUBJECTS, subject));
    subjects.push(SUBJECTS);
    Some(subjects.into())
}

/// Whether every subject that matches `narrow` matches `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(a), Some(b)) if a == b && b != "*" && b != ">" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
