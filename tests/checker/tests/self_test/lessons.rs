//! I8's own test: lesson states that are right, ways to spoil what a reader finds in one, and that each is noticed.

use crate::lesson_world::{DAY, Fields, HOUR, World, alive};
use presence_api::history::{Act, Entry};
use presence_checker::{Invariant, Standing, Terms, Verdict, judge};

fn verdict(history: &[Entry]) -> Verdict {
    judge(history, &Terms::default())
}

/// One way to spoil a history: what it does to a key, if it does anything to this one.
type Spoil = fn(&mut Key8<'_>) -> bool;

/// A key that is to be spoilt.
struct Key8<'k> {
    name: &'k mut String,
    fields: &'k mut Fields,
    expires_in: &'k mut Option<i64>,
    gone: bool,
}

impl Key8<'_> {
    /// Sets a field that is there.
    fn put(&mut self, field: &str, value: &str) -> bool {
        self.fields.get_mut(field).map(|old| value.clone_into(old)).is_some()
    }

    fn is_member_list(&self) -> bool {
        self.name.starts_with("lesson_teacher_") || self.name.starts_with("lesson_student_")
    }

    fn is_held(&self) -> bool {
        self.name.starts_with("presence:sockets:")
    }

    /// Whether it belongs to a user who is there for certain: `run` sees to it.
    fn is_of(&self, users: &[&str]) -> bool {
        users.contains(&self.name.as_str())
    }
}

const THERE: &[&str] = &["tom", "ann", "ben"];

const SPOILS: &[(&str, Spoil)] = &[
    ("lose a user's key", |key| {
        key.gone = true;
        key.is_of(THERE)
    }),
    ("a user's key names a former socket", |key| key.is_of(THERE) && key.put("sid", "sid0")),
    ("a user's key is another client's", |key| key.is_of(THERE) && key.put("client_id", "zoe")),
    ("a user's key names another lesson", |key| key.is_of(THERE) && key.put("lesson_id", "lesson9")),
    ("lose a manager's key", |key| {
        key.gone = true;
        key.name.ends_with("_user_max") && key.name.starts_with("manager:")
    }),
    ("lose a teacher's life", |key| {
        key.gone = true;
        *key.name == alive("tom")
    }),
    ("a teacher who is there is gone", |key| *key.name == alive("tom") && key.put("state", "disconnect")),
    ("a teacher who is there expires", |key| {
        *key.expires_in = Some(HOUR);
        *key.name == alive("tom")
    }),
    ("since when a teacher is there is forgotten", |key| {
        *key.name == alive("tom") && key.put("login_time", "")
    }),
    ("a teacher who is gone is there", |key| *key.name == alive("tess") && key.put("state", "connect")),
    ("a teacher who is gone is known for ever", |key| {
        key.expires_in.take().is_some() && *key.name == alive("tess")
    }),
    ("a teacher who is gone is known for a day", |key| {
        *key.expires_in = Some(DAY);
        *key.name == alive("tess")
    }),
    ("a teacher who never was", |key| {
        *key.name == alive("tom") && {
            *key.name = alive("nobody");
            true
        }
    }),
    ("lose those in a lesson", |key| {
        key.gone = true;
        key.is_member_list()
    }),
    ("somebody in a lesson by a former socket", |key| {
        key.fields.values_mut().for_each(|sid| "sid0".clone_into(sid));
        key.is_member_list()
    }),
    ("somebody in a lesson who is not there", |key| {
        key.is_member_list() && key.fields.insert("zoe".into(), "sid0".into()).is_none()
    }),
    ("a teacher among the students", |key| {
        key.is_member_list() && {
            let other =
                if key.name.contains("teacher") { ("teacher", "student") } else { ("student", "teacher") };
            *key.name = key.name.replace(other.0, other.1);
            true
        }
    }),
    ("a lesson's members for ever", |key| key.is_member_list() && key.expires_in.take().is_some()),
    ("a lesson's members for a month", |key| {
        *key.expires_in = Some(30 * DAY);
        key.is_member_list()
    }),
    ("seats lost", |key| {
        key.gone = true;
        *key.name == "lesson_seat_lesson0"
    }),
    ("a seat lost", |key| *key.name == "lesson_seat_lesson0" && key.fields.remove("2").is_some()),
    ("a replica forgets its sockets", |key| {
        key.gone = true;
        key.is_held()
    }),
    ("a replica keeps a socket that is over", |key| {
        key.is_held() && key.fields.insert("sid0".into(), "{}".into()).is_none()
    }),
];

/// The history with one key spoilt; one for each key that it can be done to.
fn spoilt(good: &[Entry], spoil: Spoil) -> Vec<Vec<Entry>> {
    let mut all = vec![];
    for line in 0..good.len() {
        let mut entries = good.to_vec();
        let Act::Kept { name, fields, expires_in } = &mut entries[line].act else { continue };
        let mut key = Key8 { name, fields, expires_in, gone: false };
        if !spoil(&mut key) {
            continue;
        }
        if key.gone {
            entries.remove(line);
        }
        recount(&mut entries);
        all.push(entries);
    }
    all
}

fn recount(entries: &mut [Entry]) {
    let found = entries.iter().filter(|entry| matches!(entry.act, Act::Kept { .. })).count() as u64;
    for entry in entries {
        if let Act::KeptAll { keys } = &mut entry.act {
            *keys = found;
        }
    }
}

#[test]
fn a_lesson_state_that_agrees_with_everybody_is_accepted() {
    for seed in 0..20 {
        let verdict = verdict(&World::run(seed));
        assert_eq!(verdict.standing(Invariant::I8), Standing::Held, "seed {seed}:\n{verdict}");
    }
}

#[test]
fn every_spoilt_lesson_state_is_rejected() {
    for (name, spoil) in SPOILS {
        let mut count = 0;
        for seed in 0..6 {
            for entries in spoilt(&World::run(seed), *spoil) {
                count += 1;
                let verdict = verdict(&entries);
                assert_eq!(
                    verdict.standing(Invariant::I8),
                    Standing::Violated,
                    "{name}, seed {seed}:\n{verdict}"
                );
            }
        }
        assert!(count >= 3, "{name}: {count} places are too few to tell");
        println!("{name:<45} {count:>4} spoiled, all rejected");
    }
}

/// The history without the first line of this kind, or with it doubled by another actor.
fn without(good: &[Entry], is_it: impl Fn(&Act) -> bool) -> Vec<Entry> {
    let line = good.iter().rposition(|entry| is_it(&entry.act)).expect("the model writes such a line");
    let mut entries = good.to_vec();
    entries.remove(line);
    entries
}

#[test]
fn a_lesson_without_a_session_two_keepers_and_a_reading_cut_short_are_rejected() {
    for seed in 0..6 {
        let good = World::run(seed);
        let mut doubled = good.clone();
        let held = |entry: &Entry| matches!(&entry.act, Act::Kept { name, .. } if name.starts_with("presence:sockets:"));
        let mut twin = good.iter().find(|entry| held(entry)).expect("somebody is there").clone();
        if let Act::Kept { name, .. } = &mut twin.act {
            name.push_str("-twin");
        }
        let end = doubled.len() - 1;
        doubled.insert(end, twin);
        recount(&mut doubled);
        let spoilt = [
            without(&good, |act| matches!(act, Act::Live { .. })),
            without(&good, |act| matches!(act, Act::Kept { .. })),
            without(&good, |act| matches!(act, Act::Admitted { .. })),
            doubled,
        ];
        for entries in spoilt {
            let verdict = verdict(&entries);
            assert_eq!(verdict.standing(Invariant::I8), Standing::Violated, "seed {seed}:\n{verdict}");
        }
    }
}

#[test]
fn it_is_not_judged_without_a_reading_or_without_quiet() {
    let good = World::run(1);
    for missing in [
        without(&good, |act| matches!(act, Act::KeptAll { .. })),
        without(&good, |act| matches!(act, Act::Quiet {})),
    ] {
        assert_eq!(verdict(&missing).standing(Invariant::I8), Standing::NotJudged);
    }
}

#[test]
fn one_who_logged_out_need_not_be_alive() {
    let mut entries = World::run(1);
    let admitted = entries
        .iter()
        .rposition(|entry| matches!(&entry.act, Act::Admitted { user_id, .. } if user_id == "tom"));
    let admitted = admitted.expect("a teacher is there");
    let Act::Admitted { socket, .. } = entries[admitted].act else { unreachable!("it was looked for") };
    let out = Entry { act: Act::LoggedOut { socket }, ..entries[admitted].clone() };
    entries.insert(admitted + 1, out);
    let is_alive = |act: &Act| matches!(act, Act::Kept { name, .. } if *name == alive("tom"));
    let mut entries = without(&entries, is_alive);
    recount(&mut entries);
    let verdict = verdict(&entries);
    assert_eq!(verdict.standing(Invariant::I8), Standing::Held, "{verdict}");
}
