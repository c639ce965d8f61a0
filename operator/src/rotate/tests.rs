//! The shared secret's life: how it is made, rotated, damaged and mended.

use super::*;

fn word(text: &str) -> Word {
    Word::new(format!("{text}-0123456789abcdef")).unwrap()
}

fn secret(of: &Shared) -> Secret {
    let mut secret = Secret { data: Some(of.data()), ..Secret::default() };
    secret.metadata.annotations = Some(of.annotations());
    secret
}

/// What a pod of this phase says, and whether one of the other takes it.
fn understand(one: &Shared, other: &Shared) -> bool {
    let takes = |of: &Shared, said: &Word| of.secret() == said || of.accepted() == Some(said);
    takes(one, other.secret()) && takes(other, one.secret())
}

#[test]
fn it_is_made_once() {
    let made = next(None, Some("first"), false, || word("a")).unwrap();
    assert_eq!(Shared::read(&secret(&made)), Some(made.clone()));
    assert_eq!(next(Some(&made), Some("first"), true, || unreachable!()), None);
    assert_eq!(next(Some(&made), None, true, || unreachable!()), None);
}

#[test]
fn a_rotation_takes_three_steps_and_no_two_neighbours_refuse_each_other() {
    let mut shared = next(None, None, false, || word("a")).unwrap();
    let mut prints = vec![shared.fingerprint()];
    for step in 0..3 {
        assert_eq!(
            next(Some(&shared), Some("monday"), false, || unreachable!()),
            None,
            "not before all is settled"
        );
        let then = next(Some(&shared), Some("monday"), true, || word("b")).unwrap();
        assert!(understand(&shared, &then), "step {step}");
        assert!(then.data().contains_key(SECRET) && then.data().contains_key(ACCEPTED), "step {step}");
        shared = Shared::read(&secret(&then)).unwrap();
        assert_eq!(shared, then);
        prints.push(shared.fingerprint());
    }
    assert_eq!((shared.secret(), shared.accepted(), shared.is_rotating()), (&word("b"), None, false));
    assert_eq!(next(Some(&shared), Some("monday"), true, || unreachable!()), None, "once is enough");
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), 4, "each step is a revision");
    assert!(next(Some(&shared), Some("tuesday"), true, || word("c")).unwrap().is_rotating());
}

#[test]
fn a_wish_during_a_rotation_waits_for_its_end() {
    let shared = next(None, None, false, || word("a")).unwrap();
    let offered = next(Some(&shared), Some("monday"), true, || word("b")).unwrap();
    let said = next(Some(&offered), Some("tuesday"), true, || unreachable!()).unwrap();
    let done = next(Some(&said), Some("tuesday"), true, || unreachable!()).unwrap();
    assert_eq!((done.secret(), done.accepted()), (&word("b"), None));
    assert_eq!(next(Some(&done), Some("tuesday"), true, || word("c")).unwrap().accepted(), Some(&word("c")));
}

/// What is not a word that the server would take, and no word at all.
const GARBAGE: [Option<&[u8]>; 6] = [
    None,
    Some(b""),
    Some(b"short"),
    Some(b"with a space in it, and long"),
    Some(b"a-0123456789abcdef\n"),
    Some(b"\xff\xfe-0123456789abcdef"),
];

/// The Secret of `of` with something else for one of its keys.
fn damaged(of: &Shared, key: &str, by: Option<&[u8]>) -> Secret {
    let mut secret = secret(of);
    let data = secret.data.as_mut().unwrap();
    data.remove(key);
    data.extend(by.map(|bytes| (key.to_owned(), ByteString(bytes.to_vec()))));
    secret
}

fn annotated(of: &Shared, key: &str, value: Option<&str>) -> Secret {
    let mut secret = secret(of);
    let annotations = secret.metadata.annotations.as_mut().unwrap();
    annotations.remove(key);
    annotations.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    secret
}

/// Made for no wish; then `monday` is wished for: offered, and said.
fn phases() -> [Shared; 3] {
    let steady = next(None, None, false, || word("a")).unwrap();
    let offered = next(Some(&steady), Some("monday"), true, || word("b")).unwrap();
    let said = next(Some(&offered), Some("monday"), true, || unreachable!()).unwrap();
    [steady, offered, said]
}

/// What comes of a damaged Secret: it is written again, and then it is whole.
fn mended(of: &Secret) -> Shared {
    let read = Shared::read(of).unwrap();
    assert!(!read.is_held_by(of), "it is not seen to be damaged: {:?}", of.metadata.annotations);
    let written = secret(&read);
    assert_eq!(Shared::read(&written).as_ref(), Some(&read));
    assert!(read.is_held_by(&written));
    assert_eq!(written.data.unwrap().len(), 2, "pods mount both");
    read
}

fn is_begun_anew(shared: &Shared) -> bool {
    next(Some(shared), Some("monday"), true, || word("c")).is_some_and(|next| next.is_rotating())
}

#[test]
fn what_is_whole_is_left_alone() {
    for shared in phases() {
        assert!(shared.is_held_by(&secret(&shared)));
        let mut with = secret(&shared);
        with.metadata.annotations.as_mut().unwrap().insert("theirs".into(), "stays".into());
        assert!(shared.is_held_by(&with), "others may annotate it");
    }
}

#[test]
fn one_lost_word_is_taken_from_the_other_and_no_pod_notices() {
    let [steady, ..] = phases();
    for key in [SECRET, ACCEPTED] {
        for by in GARBAGE {
            let read = mended(&damaged(&steady, key, by));
            assert_eq!(read, steady, "{key}: {by:?}");
            assert_eq!(read.fingerprint(), steady.fingerprint(), "no revision comes of it");
        }
    }
    // A word that somebody smuggled in would open the admin API of every pod that starts.
    let smuggled = mended(&damaged(&steady, ACCEPTED, Some(b"smuggled-0123456789abcdef")));
    assert_eq!(smuggled, steady);
    assert_eq!(mended(&damaged(&steady, "another", Some(b"key"))), steady);
}

#[test]
fn a_rotation_that_lost_a_word_ends_with_the_other_and_the_wish_stands_if_it_was_not_granted() {
    let [_, offered, said] = phases();
    for by in GARBAGE {
        let rows = [
            // What was damaged, which key, which word is said then, and whether the wish is still to be granted.
            (&offered, ACCEPTED, "a", true),
            (&offered, SECRET, "b", false),
            (&said, ACCEPTED, "b", false),
            (&said, SECRET, "a", true),
        ];
        for (shared, key, left, again) in rows {
            let read = mended(&damaged(shared, key, by));
            assert_eq!((read.secret(), read.is_rotating()), (&word(left), false), "{key}: {by:?}");
            assert_eq!(is_begun_anew(&read), again, "{key}: {by:?}");
        }
    }
    let same = damaged(&offered, ACCEPTED, Some(word("a").expose().as_bytes()));
    assert!(is_begun_anew(&mended(&same)), "a next one that is the present one was never offered");
}

#[test]
fn where_nobody_can_tell_how_far_it_was_both_are_taken_until_all_is_settled() {
    let [steady, offered, said] = phases();
    for phase in [None, Some(""), Some("Nonsense")] {
        for shared in [&offered, &said] {
            let read = mended(&annotated(shared, PHASE, phase));
            assert!(understand(&read, shared), "{phase:?}");
            let over = next(Some(&read), Some("monday"), true, || unreachable!()).unwrap();
            assert_eq!((over.secret(), over.is_rotating()), (shared.secret(), false));
            assert!(is_begun_anew(&over));
        }
        assert_eq!(mended(&annotated(&steady, PHASE, phase)), steady);
    }
    let undone = annotated(&said, ROTATED, None);
    assert!(Shared::read(&undone).unwrap().is_held_by(&undone), "it was made for no wish");
}

#[test]
fn what_nothing_can_be_saved_of_is_made_anew() {
    for shared in phases() {
        for by in GARBAGE {
            let mut with = damaged(&shared, SECRET, by);
            let data = with.data.as_mut().unwrap();
            data.insert(ACCEPTED.to_owned(), ByteString(b"short".to_vec()));
            assert_eq!(Shared::read(&with), None, "{by:?}");
        }
    }
    assert_eq!(Shared::read(&Secret::default()), None);
}

#[test]
fn it_is_never_printed() {
    let shared = next(None, None, false, || word("hunter2")).unwrap();
    assert!(!format!("{shared:?}").contains("hunter2"));
    assert!(!shared.annotations().values().any(|value| value.contains("hunter2")));
}
