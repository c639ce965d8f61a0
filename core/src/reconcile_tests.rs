//! Ghosts and orphans, case by case, and that no timing of claims, releases and looks makes either of the living.

use super::*;
use crate::ids::{Generation, SessionId};
use proptest::prelude::*;

const ME: ReplicaId = ReplicaId(1);
const OTHER: ReplicaId = ReplicaId(2);

fn held(session_id: i64, generation: i64) -> Held {
    Held { session_id: SessionId(session_id), generation: Generation(generation) }
}

fn entries(entries: &[(Held, u64)]) -> BTreeMap<Held, Time> {
    entries.iter().map(|(held, since)| (*held, Time(*since))).collect()
}

fn look(memory: &mut Memory, rows: &[Held], answered_for: &[(Held, u64)], at: u64) -> Found {
    memory.look(rows, &entries(answered_for), Time(at))
}

#[test]
fn a_row_that_nobody_answers_for_is_a_ghost_since_it_was_first_missed() {
    let mut memory = Memory::default();
    for at in [10_000, 12_000, 14_000] {
        assert_eq!(look(&mut memory, &[held(7, 1)], &[], at), Found::default());
    }
    let ghost = Ghost { held: held(7, 1), since: Time(10_000) };
    assert_eq!(look(&mut memory, &[held(7, 1)], &[], 16_000).ghosts, [ghost]);
    // It could not be given up: the next look says so again.
    assert_eq!(look(&mut memory, &[held(7, 1)], &[], 18_000).ghosts, [ghost]);
    assert_eq!(look(&mut memory, &[], &[], 20_000), Found::default());
}

#[test]
fn a_sleep_between_two_looks_makes_no_ghost_of_a_claim_whose_answer_slept_too() {
    let mut memory = Memory::default();
    look(&mut memory, &[held(7, 1)], &[], 1_000);
    assert_eq!(look(&mut memory, &[held(7, 1)], &[], 60_000), Found::default());
    // Awake, it hears the answer before the next look.
    assert_eq!(look(&mut memory, &[held(7, 1)], &[(held(7, 1), 60_100)], 62_000), Found::default());
}

#[test]
fn a_row_that_was_answered_for_in_between_is_missed_anew() {
    let mut memory = Memory::default();
    for at in [1_000, 3_000, 5_000] {
        look(&mut memory, &[held(7, 1)], &[], at);
    }
    look(&mut memory, &[held(7, 1)], &[(held(7, 1), 6_000)], 7_000);
    assert_eq!(look(&mut memory, &[held(7, 1)], &[], 9_000), Found::default());
}

#[test]
fn a_session_without_its_row_is_an_orphan_and_certain_the_second_time() {
    let mut memory = Memory::default();
    let orphan = |seen_before| Orphan { held: held(7, 1), seen_before };
    assert_eq!(look(&mut memory, &[], &[(held(7, 1), 500)], 1_000).orphans, [orphan(false)]);
    assert_eq!(look(&mut memory, &[], &[(held(7, 1), 500)], 3_000).orphans, [orphan(true)]);
    assert_eq!(look(&mut memory, &[held(7, 1)], &[(held(7, 1), 500)], 5_000), Found::default());
    assert_eq!(look(&mut memory, &[], &[(held(7, 1), 500)], 7_000).orphans, [orphan(false)]);
}

#[test]
fn a_session_that_was_entered_while_the_store_was_read_is_no_orphan() {
    let mut memory = Memory::default();
    assert_eq!(look(&mut memory, &[], &[(held(7, 1), 1_000)], 1_000), Found::default());
}

#[test]
fn a_row_from_the_past_under_a_live_session_is_both_and_neither_hides_the_other() {
    let mut memory = Memory::default();
    let mut found = Found::default();
    for at in [1_000, 3_000, 5_000, 7_000] {
        found = look(&mut memory, &[held(7, 1)], &[(held(7, 2), 500)], at);
    }
    assert_eq!(found.ghosts, [Ghost { held: held(7, 1), since: Time(1_000) }]);
    assert_eq!(found.orphans, [Orphan { held: held(7, 2), seen_before: true }]);
}

#[test]
fn after_the_store_was_away_everything_is_seen_for_the_first_time() {
    let mut memory = Memory::default();
    for at in [1_000, 3_000, 5_000] {
        look(&mut memory, &[held(7, 1)], &[(held(8, 1), 0)], at);
    }
    memory.forget();
    let found = look(&mut memory, &[held(7, 1)], &[(held(8, 1), 0)], 60_000);
    assert_eq!(found.ghosts, []);
    assert_eq!(found.orphans, [Orphan { held: held(8, 1), seen_before: false }]);
}

#[test]
fn an_agent_with_a_later_socket_was_replaced_and_one_with_none_is_lost() {
    let at = |session_id, generation, replica_id| {
        Some(Holder { session_id: SessionId(session_id), generation: Generation(generation), replica_id })
    };
    let cases = [
        (None, Fate::Lost),
        (at(7, 2, ME), Fate::Kept),
        // Handed over, replaced here, replaced there.
        (at(7, 3, OTHER), Fate::Replaced),
        (at(7, 3, ME), Fate::Replaced),
        (at(9, 1, OTHER), Fate::Replaced),
        // The store lost this claim, and gave the same generation to the next.
        (at(7, 2, OTHER), Fate::Replaced),
        // What a store that went back in time still knows.
        (at(7, 1, ME), Fate::Lost),
        (at(6, 9, OTHER), Fate::Lost),
    ];
    for (holder, expected) in cases {
        assert_eq!(fate(held(7, 2), ME, holder), expected, "{holder:?}");
    }
}

/// One session as the world sees it: committed, heard of by its claimer, given up in the store, and that heard of too.
#[derive(Debug, Clone, Copy)]
struct Life {
    committed: u64,
    entered: u64,
    deleted: u64,
    dropped: u64,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (0..40_000_u64, 0..5_000_u64, 0..40_000_u64, 0..1_900_u64);
    let life = life.prop_map(|(committed, heard, lasted, told)| {
        let entered = committed + heard;
        let deleted = entered + lasted;
        Life { committed, entered, deleted, dropped: deleted + told }
    });
    prop::collection::vec(life, 0..30)
}

/// Pauses between looks, and how long each read takes; a pause may be a long sleep.
fn looks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((prop_oneof![9 => 2_000..2_500_u64, 1 => 2_000..30_000_u64], 0..100_u64), 1..40)
}

proptest! {
    #[test]
    fn whoever_claims_and_releases_in_time_is_neither_ghost_nor_certain_orphan(lives in lives(), looks in looks()) {
        let (mut memory, mut at) = (Memory::default(), 0);
        for (pause, takes) in looks {
            at += pause;
            // The store answers as of somewhere in the read; the ledger is read when it is over.
            let (read, over) = (at + takes / 2, at + takes);
            let id = |index: usize| held(i64::try_from(index).unwrap(), 1);
            let rows: Vec<_> = lives.iter().enumerate()
                .filter(|(_, life)| life.committed <= read && read < life.deleted)
                .map(|(index, _)| id(index))
                .collect();
            let entries: BTreeMap<_, _> = lives.iter().enumerate()
                .filter(|(_, life)| life.entered <= over && over < life.dropped)
                .map(|(index, life)| (id(index), Time(life.entered)))
                .collect();
            let found = memory.look(&rows, &entries, Time(at));
            prop_assert!(found.ghosts.is_empty(), "{found:?} at {at}");
            prop_assert!(found.orphans.iter().all(|orphan| !orphan.seen_before), "{found:?} at {at}");
            at = over;
        }
    }

    #[test]
    fn what_stays_wrong_is_found_within_a_few_looks(at in 0..1_000_000_u64, pauses in prop::collection::vec(2_000..2_500_u64, 5)) {
        let (mut memory, mut now, mut found) = (Memory::default(), at + 1, Found::default());
        for pause in pauses {
            now += pause;
            found = look(&mut memory, &[held(1, 1)], &[(held(2, 1), at)], now);
        }
        prop_assert_eq!(found.ghosts.len(), 1);
        prop_assert_eq!(found.orphans, [Orphan { held: held(2, 1), seen_before: true }]);
    }
}
