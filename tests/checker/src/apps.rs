//! Classroom apps and the lesson state: who was let in on which socket, and the keys that a reader found. Judges nothing.

use presence_api::history::{Act, Entry, Key, Outcome};
use std::collections::{BTreeMap, HashMap};

/// A classroom app's socket.
#[derive(Debug)]
pub(crate) struct App<'a> {
    pub(crate) line: usize,
    pub(crate) at: i64,
    pub(crate) user: &'a str,
    pub(crate) org: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) sid: &'a str,
    /// The lesson that it is in, by its agent session.
    pub(crate) lesson: Option<(&'a Key, i64)>,
    pub(crate) logged_out: bool,
    closed_at: Option<i64>,
}

impl App<'_> {
    /// From the moment it was let in until its client knew of its end.
    pub(crate) fn is_open_at(&self, moment: i64) -> bool {
        self.at <= moment && self.closed_at.is_none_or(|closed| closed > moment)
    }

    pub(crate) fn takes_part(&self) -> bool {
        matches!(self.kind, "teacher" | "student")
    }
}

/// Every socket that was let in, in the order of the history.
pub(crate) fn of(history: &[Entry]) -> Vec<App<'_>> {
    let mut apps: Vec<App<'_>> = Vec::new();
    let mut newest: HashMap<(&str, u64), usize> = HashMap::new();
    for (line, entry) in history.iter().enumerate() {
        let actor = entry.actor.as_str();
        let number = match &entry.act {
            Act::Admitted { socket, user_id, org_id, kind, sid } => {
                newest.insert((actor, *socket), apps.len());
                apps.push(App {
                    line,
                    at: entry.at,
                    user: user_id,
                    org: org_id,
                    kind,
                    sid,
                    lesson: None,
                    logged_out: false,
                    closed_at: None,
                });
                continue;
            }
            Act::Connect { socket, .. } | Act::LoggedOut { socket } | Act::Closed { socket, .. } => *socket,
            _ => continue,
        };
        let Some(app) = newest.get(&(actor, number)).and_then(|&index| apps.get_mut(index)) else { continue };
        match &entry.act {
            Act::Connect { key, outcome: Outcome::Entered { session_id, .. }, .. } => {
                app.lesson = Some((key, *session_id));
            }
            Act::LoggedOut { .. } => app.logged_out = true,
            Act::Closed { .. } => _ = app.closed_at.get_or_insert(entry.at),
            _ => {}
        }
    }
    apps
}

/// What a key held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) line: usize,
    pub(crate) fields: &'a BTreeMap<String, String>,
    pub(crate) expires_in: Option<i64>,
}

impl<'a> Kept<'a> {
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// All keys of the lesson state at one moment.
#[derive(Debug, Default)]
pub(crate) struct Reading<'a> {
    pub(crate) at: i64,
    pub(crate) keys: BTreeMap<&'a str, Kept<'a>>,
    /// The line that closes it, how many keys it says there were, and how many lines there are.
    pub(crate) closed: (usize, u64, u64),
}

/// The last reading that was finished.
pub(crate) fn last_reading(history: &[Entry]) -> Option<Reading<'_>> {
    let (mut open, mut last): (Reading<'_>, Option<Reading<'_>>) = (Reading::default(), None);
    for (line, entry) in history.iter().enumerate() {
        match &entry.act {
            Act::Kept { name, fields, expires_in } => {
                open.closed.2 += 1;
                open.keys.insert(name, Kept { line, fields, expires_in: *expires_in });
            }
            Act::KeptAll { keys } => {
                let mut done = std::mem::take(&mut open);
                (done.at, done.closed.0, done.closed.1) = (entry.at, line, *keys);
                if last.as_ref().is_none_or(|last| last.at <= done.at) {
                    last = Some(done);
                }
            }
            _ => {}
        }
    }
    last
}
