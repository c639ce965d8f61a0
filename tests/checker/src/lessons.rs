//! I8: once all is quiet, the lesson state says of every classroom app what the app itself and the database say, and of
//! nobody else anything. The keys are those of section 5 of `docs/PROTOCOL.md`.

use crate::{
    apps::{self, App, Kept, Reading},
    record::Record,
    verdict::{Invariant::I8, Sheet},
};
use std::collections::{BTreeMap, BTreeSet};

/// Under which a replica keeps its own sockets, a field for each.
const HELD: &str = "presence:sockets:";
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

pub(crate) fn check(record: &Record<'_>, sheet: &mut Sheet) {
    let apps = apps::of(record.history);
    let Some(reading) = apps::last_reading(record.history) else {
        sheet.judged(I8, &[], "nobody read the lesson state");
        return;
    };
    if !record.is_quiet_at(reading.at) {
        sheet.judged(I8, &[], "the lesson state was not read after all was quiet");
        return;
    }
    let open: Vec<&App<'_>> = apps.iter().filter(|app| app.is_open_at(reading.at)).collect();
    sheet.judged(
        I8,
        &[(open.len(), "open apps"), (reading.keys.len(), "keys")],
        "there is neither an app nor a key",
    );
    let (line, said, found) = reading.closed;
    if said != found {
        sheet.find(I8, &[line], || format!("the reading has {found} keys, and says that it has {said}"));
    }
    let (mut by_user, mut by_sid) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
    for &app in &open {
        by_user.entry((app.org, app.user)).or_default().push(app);
        by_sid.insert(app.sid, app);
    }
    let mut judge = Judge { reading: &reading, open: &open, by_user, by_sid, sheet };
    for app in &open {
        judge.open_app(app);
    }
    judge.members();
    judge.held();
    judge.gone_teachers(&apps);
    judge.rows(record);
}

struct Judge<'j, 'a> {
    reading: &'j Reading<'a>,
    open: &'j [&'j App<'a>],
    by_user: BTreeMap<(&'a str, &'a str), Vec<&'j App<'a>>>,
    by_sid: BTreeMap<&'a str, &'j App<'a>>,
    sheet: &'j mut Sheet,
}

impl<'a> Judge<'_, 'a> {
    fn find(&mut self, lines: &[usize], what: impl FnOnce() -> String) {
        self.sheet.find(I8, lines, what);
    }

    fn key(&self, name: &str) -> Option<Kept<'a>> {
        self.reading.keys.get(name).copied()
    }

    /// The keys of one who is there.
    fn open_app(&mut self, app: &App<'a>) {
        let of_kind = match app.kind {
            "manager" => Some(format!("manager:org_{}_user_{}", app.org, app.user)),
            _ if app.takes_part() => Some(app.user.to_owned()),
            _ => None,
        };
        if let Some(name) = of_kind {
            self.names_its_socket(app, &name);
        }
        if app.kind == "teacher" {
            self.is_alive(app);
        }
        if let Some((key, _)) = app.lesson {
            self.is_in_lesson(app, &key.classroom_id);
        }
    }

    /// The key is there, is the user's, and names a socket of the user's that is open.
    fn names_its_socket(&mut self, app: &App<'a>, name: &str) {
        let Some(kept) = self.key(name) else {
            return self.find(&[app.line], || format!("`{name}` is missing, whose app is there"));
        };
        let own = self.by_user.get(&(app.org, app.user)).into_iter().flatten();
        let mut own = own.filter(|other| (other.kind == "manager") == (app.kind == "manager"));
        if !own.any(|other| kept.field("sid") == Some(other.sid)) {
            self.find(&[kept.line, app.line], || format!("`{name}` names a socket that is not there"));
        }
        if kept.field("client_id") != Some(app.user) {
            self.find(&[kept.line, app.line], || format!("`{name}` is another client's"));
        }
        let (said, lesson) = (kept.field("lesson_id"), app.lesson.map(|(key, _)| key.classroom_id.as_str()));
        if app.takes_part() && lesson.is_some() && kept.field("sid") == Some(app.sid) && said != lesson {
            self.find(&[kept.line, app.line], || format!("`{name}` names another lesson"));
        }
    }

    fn is_alive(&mut self, app: &App<'a>) {
        let name = alive(app);
        match self.key(&name) {
            None if app.logged_out => {}
            None => self.find(&[app.line], || format!("`{name}` is missing, whose teacher is there")),
            Some(kept) if kept.field("state") != Some("connect") || kept.expires_in.is_some() => {
                self.find(&[kept.line, app.line], || {
                    format!("`{name}` takes a teacher for gone who is there")
                });
            }
            Some(kept) if kept.field("login_time").is_none_or(|time| time.parse::<i64>().is_err()) => {
                self.find(&[kept.line], || format!("`{name}` does not say since when"));
            }
            Some(_) => {}
        }
    }

    fn is_in_lesson(&mut self, app: &App<'a>, lesson: &str) {
        let name = format!("lesson_{}_{lesson}", app.kind);
        let sid = self.key(&name).and_then(|kept| kept.field(app.user));
        if sid != Some(app.sid) {
            self.find(&[app.line], || {
                format!("`{name}` does not have {} by the socket it is there with", app.user)
            });
        }
        let seats = format!("lesson_seat_{lesson}");
        let Some(kept) = self.key(&seats) else {
            return self.find(&[app.line], || format!("`{seats}` is missing, and somebody is in the lesson"));
        };
        let numbered = (1..=kept.fields.len()).all(|seat| kept.fields.contains_key(&seat.to_string()));
        if !numbered || kept.fields.is_empty() {
            self.find(&[kept.line], || format!("`{seats}` has no seats from 1 on"));
        }
    }

    /// Nobody is in a lesson but who is there; and what is said of a lesson does not last for ever.
    fn members(&mut self) {
        for kind in ["teacher", "student"] {
            let prefix = format!("lesson_{kind}_");
            let of = self.reading.keys.iter();
            let hashes: Vec<_> =
                of.filter_map(|(name, kept)| Some((*name, name.strip_prefix(&*prefix)?, *kept))).collect();
            for (name, lesson, kept) in hashes {
                if !kept.expires_in.is_some_and(|seconds| (1..=DAY).contains(&seconds)) {
                    self.find(&[kept.line], || format!("`{name}` does not expire within a day"));
                }
                for (user, sid) in kept.fields {
                    let app =
                        self.by_sid.get(sid.as_str()).filter(|app| (app.user, app.kind) == (user, kind));
                    let is_in = app.and_then(|app| app.lesson).map(|(key, _)| key.classroom_id.as_str());
                    if is_in != Some(lesson) {
                        self.find(&[kept.line], || {
                            format!("`{name}` has {user}, who is not there by that socket")
                        });
                    }
                }
            }
        }
    }

    /// Replicas keep exactly the sockets that are open, each once.
    fn held(&mut self) {
        let of = self.reading.keys.iter().filter(|(name, _)| name.starts_with(HELD));
        let mut held: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (sid, kept) in of.flat_map(|(_, kept)| kept.fields.keys().map(move |sid| (sid, kept))) {
            held.entry(sid).or_default().push(kept.line);
        }
        for (sid, lines) in &held {
            if !self.by_sid.contains_key(sid) {
                self.find(lines, || format!("a replica keeps {sid}, which nobody has open"));
            }
            if lines.len() > 1 {
                self.find(lines, || format!("{} replicas keep {sid}", lines.len()));
            }
        }
        for app in self.open {
            if !held.contains_key(app.sid) {
                self.find(&[app.line], || format!("no replica keeps {}, which is open", app.sid));
            }
        }
    }

    /// A teacher who is gone is known to be, for an hour.
    fn gone_teachers(&mut self, apps: &[App<'a>]) {
        let here: BTreeSet<String> =
            self.open.iter().filter(|app| app.kind == "teacher").map(|app| alive(app)).collect();
        let gone: BTreeSet<String> = apps
            .iter()
            .filter(|app| app.kind == "teacher")
            .map(alive)
            .filter(|name| !here.contains(name))
            .collect();
        for (name, kept) in self.reading.keys.iter().filter(|(name, _)| name.starts_with("alive:")) {
            if here.contains(*name) {
                continue;
            }
            let expires = kept.expires_in.is_some_and(|seconds| (1..=HOUR).contains(&seconds));
            if !gone.contains(*name) {
                self.sheet.find(I8, &[kept.line], || format!("`{name}` is of nobody who was ever there"));
            } else if kept.field("state") != Some("disconnect") || !expires {
                self.sheet
                    .find(I8, &[kept.line], || format!("`{name}` does not say that the teacher is gone"));
            }
        }
    }

    /// Whoever is in a lesson has a session there.
    fn rows(&mut self, record: &Record<'_>) {
        let Some(dump) = record.last_dump() else { return };
        let live: BTreeSet<_> = dump.live.iter().map(|row| (row.key, row.session_id)).collect();
        for app in self.open {
            let Some((key, session_id)) = app.lesson else { continue };
            if !live.contains(&(key, session_id)) {
                self.find(&[app.line], || {
                    format!("{} is in a lesson without session {session_id}", app.user)
                });
            }
        }
    }
}

fn alive(app: &App<'_>) -> String {
    format!("alive:org_{}_user_{}", app.org, app.user)
}
