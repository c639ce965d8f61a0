//! Whatever is written down, the checker judges it and does not stumble; and a verdict prints.

use crate::scenarios;
use presence_api::{
    event::EventId,
    frames::Resume,
    history::{About, Act, Entry, Key, Outcome, Side},
};
use presence_checker::{Terms, judge, read};
use proptest::{collection::vec, option, prelude::*};

/// Few and extreme, so that lines meet.
fn time() -> BoxedStrategy<i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), 0..50_i64, (0..100_i64).prop_map(|it| it * 1_000_000)].boxed()
}

fn position() -> BoxedStrategy<u64> {
    prop_oneof![8 => 0..12_u64, 1 => Just(u64::MAX)].boxed()
}

fn session() -> BoxedStrategy<i64> {
    prop_oneof![8 => 0..4_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)].boxed()
}

fn name() -> BoxedStrategy<String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("é\u{0}".to_owned())].boxed()
}

fn key() -> BoxedStrategy<Key> {
    (name(), name()).prop_map(|(agent_id, classroom_id)| Key { agent_id, classroom_id }).boxed()
}

fn id() -> BoxedStrategy<EventId> {
    let words =
        (prop_oneof![Just("agent"), Just("chat")], prop_oneof![Just("entered"), Just("left"), Just("")]);
    (words, session())
        .prop_map(|((entity, operation), sequence_id)| EventId {
            entity_type: entity.into(),
            operation: operation.into(),
            sequence_id,
        })
        .boxed()
}

fn about() -> BoxedStrategy<About> {
    let rest = (option::of(name()), option::of(name()), option::of(name()));
    (name(), rest)
        .prop_map(|(classroom_id, (about, receiver, sender))| About { classroom_id, about, receiver, sender })
        .boxed()
}

fn outcome() -> BoxedStrategy<Outcome> {
    let entered = (session(), position(), any::<bool>(), name());
    prop_oneof![
        4 => entered.prop_map(|(session_id, seq, resumed, replica)| Outcome::Entered {
            session_id, seq, resumed, replica, agents_total: 0
        }),
        1 => name().prop_map(|reason| Outcome::Refused { reason }),
        1 => name().prop_map(|why| Outcome::Unknown { why }),
    ]
    .boxed()
}

fn of_a_socket() -> BoxedStrategy<Act> {
    let socket = || 0..3_u64;
    let resume = (session(), position()).prop_map(|(session_id, last_seq)| Resume { session_id, last_seq });
    let reason = prop_oneof![Just("replaced"), Just("terminated"), Just("slow_consumer"), Just("")];
    let side = prop_oneof![Just(Side::Client), Just(Side::Server), Just(Side::Broken)];
    prop_oneof![
        (socket(), key(), option::of(resume), outcome())
            .prop_map(|(socket, key, resume, outcome)| Act::Connect { socket, key, resume, outcome }),
        (socket(), position(), id(), about()).prop_map(|(socket, seq, id, about)| Act::Heard {
            socket,
            seq,
            id,
            about
        }),
        (socket(), position()).prop_map(|(socket, seq)| Act::Resync { socket, seq, agents_total: 0 }),
        (socket(), reason).prop_map(|(socket, reason)| {
            Act::Told { socket, reason: reason.into(), reconnect_after_ms: None }
        }),
        (socket(), side, option::of(any::<u16>())).prop_map(|(socket, by, code)| Act::Closed {
            socket,
            by,
            code
        }),
    ]
    .boxed()
}

fn of_others() -> BoxedStrategy<Act> {
    prop_oneof![
        (position(), id(), about()).prop_map(|(seq, id, about)| Act::Published { seq, id, about }),
        (position(), position()).prop_map(|(first, last)| Act::Witnessed { first, last }),
        (session(), key(), session(), name(), time()).prop_map(
            |(session_id, key, generation, replica, started_at)| Act::Live {
                session_id,
                key,
                generation,
                replica,
                started_at
            }
        ),
        (session(), key(), time(), time()).prop_map(|(session_id, key, started_at, ended_at)| Act::Ended {
            session_id,
            key,
            started_at,
            ended_at
        }),
        (session(), name(), key()).prop_map(|(session_id, operation, key)| Act::Waiting {
            session_id,
            operation,
            key
        }),
        (position(), position(), position()).prop_map(|(live, ended, waiting)| Act::Dumped {
            live,
            ended,
            waiting
        }),
        (name(), name()).prop_map(|(what, whom)| Act::Fault { what, whom }),
        Just(Act::Quiet {}),
    ]
    .boxed()
}

fn entry() -> BoxedStrategy<Entry> {
    (time(), time(), name(), prop_oneof![of_a_socket(), of_others()])
        .prop_map(|(began, at, actor, act)| Entry { began, at, actor, act })
        .boxed()
}

fn written(entries: &[Entry]) -> String {
    entries.iter().map(|entry| serde_json::to_string(entry).expect("entries are JSON") + "\n").collect()
}

proptest! {
    #[test]
    fn no_history_makes_the_checker_stumble(entries in vec(entry(), 0..60), bound in any::<u64>()) {
        let verdict = judge(&entries, &Terms::default());
        let impatient = Terms { ghost_ms: 0, settle_ms: 0, unseen_ms: 0, enter_within_ms: Some(0), ..Terms::default() };
        let patient = Terms { ghost_ms: bound, settle_ms: u64::MAX, grace_ms: bound, ..Terms::default() };
        prop_assert!(!verdict.to_string().is_empty());
        prop_assert!(!judge(&entries, &impatient).to_string().is_empty());
        prop_assert!(!judge(&entries, &patient).to_string().is_empty());
    }

    #[test]
    fn what_is_written_is_read(entries in vec(entry(), 0..20)) {
        prop_assert_eq!(read(written(&entries).as_bytes()).unwrap(), entries);
    }
}

#[test]
fn a_verdict_is_the_same_from_a_file_as_from_memory() {
    for good in scenarios::good(1..2) {
        let again = read(written(&good.entries).as_bytes()).unwrap();
        assert_eq!(judge(&again, &Terms::default()), judge(&good.entries, &Terms::default()));
    }
}
