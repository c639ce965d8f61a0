//! Hand-written cases at the edge of what is legal: what looks wrong and is right, and its neighbour that is wrong.

use crate::script::Script;
use presence_api::{
    event::Operation::{Entered, Left},
    history::{Act, Key, Outcome, Side},
};
use presence_checker::{
    Invariant::{I1, I2, I3, I4, I5, I6, I7, I9, I10},
    Standing, Terms, judge,
};

const A: (&str, u64) = ("a", 0);
const AGAIN: (&str, u64) = ("a", 1);
const TWIN: (&str, u64) = ("b", 0);

/// Session 1 since 1 s, entered at position 5 of the stream.
fn entered() -> Script {
    Script::default().tell(1_005, 5, Entered, 1).enter((1_000, 1_010), A, (1, 5), None)
}

/// A drained socket delivers beside its successor until `until`.
fn drained(until: i64) -> Script {
    let script = entered()
        .told(50_000, A, "terminated")
        .enter((51_000, 51_010), AGAIN, (1, 5), Some(5))
        .say(until, 9)
        .hear(until, A, 9)
        .hear(until, AGAIN, 9)
        .close(until + 1, A, Side::Client, Some(1000));
    script.quiet(100_000).live(100_000, 1, 1_002)
}

#[test]
fn make_before_break_overlaps_for_as_long_as_a_drain_lasts() {
    drained(60_000).is_accepted();
    drained(90_000).is_rejected_by(I2);
}

/// Two that connected at once, and one that is told.
fn raced() -> Script {
    Script::default().tell(1_005, 5, Entered, 1).enter((1_000, 1_100), A, (1, 5), None).enter(
        (1_050, 1_090),
        TWIN,
        (1, 5),
        None,
    )
}

#[test]
fn of_a_race_either_may_win_and_not_both() {
    for (winner, loser) in [(A, TWIN), (TWIN, A)] {
        let script = raced()
            .told(1_200, loser, "replaced")
            .close(1_201, loser, Side::Server, Some(4506))
            .say(20_000, 9)
            .hear(20_001, winner, 9);
        script.quiet(50_000).live(50_000, 1, 1_002).is_accepted();
    }
    let both = raced().say(20_000, 9).hear(20_001, A, 9).hear(20_001, TWIN, 9);
    both.quiet(50_000).live(50_000, 1, 1_002).is_rejected_by(I2);
}

#[test]
fn an_unknown_connect_may_have_happened_or_not() {
    let nothing = Script::default().say(500, 3).unknown((1_000, 6_000), A).quiet(60_000);
    nothing.is_accepted();
    let happened = Script::default()
        .tell(1_005, 5, Entered, 1)
        .unknown((1_000, 6_000), A)
        .tell(11_000, 6, Left, 1)
        .quiet(60_000)
        .ended(60_000, 1, (1_002, 6_000));
    happened.is_accepted();
    // And it is no excuse for a row that stays.
    let ghost = Script::default().tell(1_005, 5, Entered, 1).unknown((1_000, 6_000), A);
    ghost.quiet(60_000).live(60_000, 1, 1_002).is_rejected_by(I5);
}

#[test]
fn an_unknown_connect_may_take_a_session_from_an_open_socket() {
    let script = entered()
        .told(10_010, A, "replaced")
        .close(10_011, A, Side::Server, Some(4506))
        .unknown((10_000, 15_000), TWIN)
        .tell(20_000, 7, Left, 2)
        .quiet(90_000)
        .ended(90_000, 1, (1_002, 10_002))
        .ended(90_000, 2, (10_002, 15_000));
    script.is_accepted();
}

#[test]
fn a_row_outlives_its_socket_for_a_while_and_longer_where_a_fault_lasts() {
    let broken = || entered().close(30_000, A, Side::Broken, None);
    broken().live(50_000, 1, 1_002).is_accepted();
    broken().live(60_000, 1, 1_002).is_rejected_by(I5);
    let outage = broken().fault((31_000, 90_000), "cut", "postgres");
    outage.live(100_000, 1, 1_002).is_accepted();
    // A fault of a replica that never held the key excuses nothing.
    let mut elsewhere = broken().fault((31_000, 90_000), "stop", "r9").live(100_000, 1, 1_002);
    elsewhere = elsewhere.line((100_000, 100_000), "reader", other_live("r9"));
    elsewhere.is_rejected_by(I5);
}

fn other_key() -> Key {
    Key { agent_id: "web.z.example".into(), classroom_id: "c".into() }
}

fn other_live(replica: &str) -> Act {
    Act::Live { session_id: 77, key: other_key(), generation: 1, replica: replica.into(), started_at: 0 }
}

#[test]
fn an_event_may_wait_until_all_is_quiet() {
    let waits = || Script::default().say(500, 3).enter((1_000, 1_010), A, (1, 3), None);
    let dumped = |script: Script| script.live(2_000, 1, 1_002).waiting(2_000, 1, "entered");
    dumped(waits()).is_accepted();
    dumped(waits().quiet(1_900)).is_rejected_by(I4);
    waits().live(2_000, 1, 1_002).is_rejected_by(I4);
}

#[test]
fn what_came_after_the_witness_had_looked_is_not_missing() {
    let script = |looked| {
        let script = entered().close(50_000, A, Side::Broken, None);
        let script = script.line((looked, looked), "witness", Act::Witnessed { first: 1, last: 9 });
        script.quiet(90_000).ended(90_000, 1, (1_002, 50_000))
    };
    script(51_000).is_accepted();
    // By then it should have been there.
    script(80_000).is_rejected_by(I4);
    script(91_000).is_rejected_by(I4);
}

#[test]
fn a_stream_made_anew_is_filled_again_with_what_it_may_have_lost() {
    let refilled = entered()
        .say(2_000, 6)
        .hear(2_001, A, 6)
        .tell(3_000, 1_005, Entered, 1)
        .resync(3_100, A, 1_010)
        .say(4_000, 1_020)
        .hear(4_001, A, 1_020);
    let twice = refilled.quiet(60_000).live(60_000, 1, 1_002);
    twice.is_rejected_by(I3);
    let witnessed = |script: Script, first, last| {
        script.line((60_000, 60_000), "witness", Act::Witnessed { first, last })
    };
    let in_two = |script: Script| witnessed(witnessed(script, 1, 500), 1_001, 2_000);
    in_two(twice).is_accepted();
    // Twice within what was seen whole is no refill, in however many looks.
    let again = entered().tell(3_000, 8, Entered, 1).quiet(60_000).live(60_000, 1, 1_002);
    witnessed(witnessed(again, 1, 7), 1, 20).is_rejected_by(I3);
}

#[test]
fn what_no_witness_saw_is_not_held_against_a_socket() {
    let script = entered().hear(2_000, A, 400).quiet(60_000).live(60_000, 1, 1_002);
    script.is_rejected_by(I6);
    script.line((60_000, 60_000), "witness", Act::Witnessed { first: 1, last: 300 }).is_accepted();
}

#[test]
fn a_lost_lease_ends_a_stay_and_begins_another_under_an_open_socket() {
    let script = entered()
        .fault((20_000, 40_000), "cut", "r0")
        .tell(36_000, 7, Left, 1)
        .tell(41_000, 9, Entered, 2)
        .quiet(90_000)
        .ended(90_000, 1, (1_002, 19_000))
        .live(90_000, 2, 40_900);
    script.is_accepted();
}

#[test]
fn a_replace_elsewhere_tells_nobody_and_a_leave_in_between_tells_both() {
    let replaced = entered().enter((9_990, 10_010), AGAIN, (2, 5), None).told(10_020, A, "replaced").close(
        10_021,
        A,
        Side::Server,
        Some(4506),
    );
    let replaced = replaced.quiet(60_000).ended(60_000, 1, (1_002, 10_000)).live(60_000, 2, 10_000);
    replaced.is_accepted();
    let left = entered()
        .close(9_999, A, Side::Client, Some(1000))
        .tell(10_000, 7, Left, 1)
        .tell(10_001, 9, Entered, 2)
        .enter((10_000, 10_010), AGAIN, (2, 9), None);
    // A coarse clock gives the end and the beginning one moment; that alone makes no replace.
    let left = left.quiet(60_000).ended(60_000, 1, (1_002, 10_000)).live(60_000, 2, 10_000);
    left.is_accepted();
    let silent =
        entered().close(9_999, A, Side::Client, Some(1000)).enter((10_000, 10_010), AGAIN, (2, 5), None);
    let silent = silent.quiet(60_000).ended(60_000, 1, (1_002, 9_999)).live(60_000, 2, 10_002);
    silent.is_rejected_by(I4);
}

#[test]
fn a_stay_without_a_clean_end_may_end_when_somebody_was_last_heard_of() {
    let broken = |ended_at| {
        let script = entered().say(60_000, 6).hear(60_001, A, 6).close(61_000, A, Side::Broken, None);
        script.tell(70_000, 9, Left, 1).quiet(120_000).ended(120_000, 1, (1_002, ended_at))
    };
    broken(61_000).is_accepted();
    broken(30_000).is_accepted();
    broken(20_000).is_rejected_by(I7);
    broken(66_000).is_accepted();
    broken(69_000).is_rejected_by(I7);
}

#[test]
fn who_stalls_hears_of_its_end_long_after() {
    let stalled = |whom| {
        let script = entered().fault((10_000, 80_000), "stall", whom).say(11_000, 6).hear(80_000, A, 6);
        let script = script.close(80_001, A, Side::Broken, None).tell(20_000, 9, Left, 1);
        script.quiet(120_000).ended(120_000, 1, (1_002, 15_000))
    };
    stalled("a").is_accepted();
    let outcome = Outcome::Refused { reason: "overloaded".into() };
    let connect = Act::Connect { socket: 0, key: other_key(), resume: None, outcome };
    stalled("z").line((500, 600), "z", connect).is_rejected_by(I7);
}

#[test]
fn a_position_that_is_not_known_yet_is_made_good_by_a_resync() {
    let script = Script::default()
        .say(500, 3)
        .tell(1_005, 5, Entered, 1)
        .enter((1_000, 1_010), A, (1, 0), None)
        .resync(2_000, A, 5)
        .say(3_000, 8)
        .hear(3_001, A, 8);
    script.quiet(60_000).live(60_000, 1, 1_002).is_accepted();
    let never =
        Script::default().say(500, 3).tell(1_005, 5, Entered, 1).enter((1_000, 1_010), A, (1, 0), None);
    never.quiet(60_000).live(60_000, 1, 1_002).is_rejected_by(I6);
}

#[test]
fn the_tail_of_a_socket_that_ended_may_be_missing() {
    let closed = |script: Script| script.close(3_000, A, Side::Client, Some(1000)).tell(3_001, 9, Left, 1);
    closed(entered().say(2_999, 8)).quiet(60_000).ended(60_000, 1, (1_002, 3_000)).is_accepted();
    entered().say(2_999, 8).quiet(60_000).live(60_000, 1, 1_002).is_rejected_by(I6);
}

#[test]
fn actors_compare_by_time_and_not_by_where_their_lines_stand() {
    let mut script = drained(60_000);
    script.0.sort_by(|a, b| a.actor.cmp(&b.actor));
    script.is_accepted();
    script.0.sort_by(|a, b| b.actor.cmp(&a.actor));
    script.is_accepted();
}

#[test]
fn an_empty_history_is_not_judged_at_all() {
    let verdict = judge(&[], &Terms::default());
    assert!(verdict.holds());
    for invariant in presence_checker::Invariant::ALL {
        assert_eq!(verdict.standing(invariant), Standing::NotJudged, "{invariant}");
    }
    assert!(verdict.expect(&[I1]).is_err());
}

#[test]
fn without_a_dump_or_a_witness_less_is_judged() {
    let judged = |script: Script| {
        let verdict = script.verdict();
        [I1, I2, I3, I4, I5, I6, I7, I9].map(|it| verdict.standing(it) == Standing::Held)
    };
    assert_eq!(judged(entered()), [false, true, true, false, false, true, false, true]);
    let unwitnessed = Script::default().enter((1_000, 1_010), A, (1, 5), None).live(2_000, 1, 1_002);
    assert_eq!(judged(unwitnessed), [true, true, false, false, true, false, true, true]);
}

#[test]
fn a_bound_on_connects_holds_where_no_fault_touches_them() {
    let terms = Terms { enter_within_ms: Some(50), ..Terms::default() };
    let standing = |script: &Script| judge(&script.0, &terms).standing(I10);
    let slow = Script::default().enter((1_000, 1_051), A, (1, 5), None);
    assert_eq!(standing(&slow), Standing::Violated);
    assert_eq!(standing(&slow.fault((900, 1_020), "slow", "nats")), Standing::NotJudged);
    assert_eq!(standing(&entered()), Standing::Held);
}

#[test]
fn terms_are_read_with_their_defaults_and_nothing_unknown() {
    let terms: Terms = serde_json::from_str(r#"{"ghost_ms": 4000}"#).unwrap();
    assert_eq!(terms, Terms { ghost_ms: 4_000, ..Terms::default() });
    assert!(serde_json::from_str::<Terms>(r#"{"gost_ms": 4000}"#).is_err());
}
