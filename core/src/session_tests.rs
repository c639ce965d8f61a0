//! The session machine, phase by phase, and what no order of inputs may bring about.

use super::*;
use proptest::prelude::*;

const RULES: Rules = Rules {
    follows: true,
    auth_timeout: 10_000,
    ping_interval: 30_000,
    pong_timeout: 5_000,
    leave_grace: 5_000,
    frames_per_second: 50,
    frames_burst: 100,
};
const HELD: Held = Held { session_id: SessionId(7), generation: Generation(1) };
const NEVER: Time = Time(u64::MAX);

fn live(expires: Time) -> Session {
    let mut session = Session::open(&RULES, Time(0));
    assert_eq!(session.step(Input::Request, &RULES, Time(0)), [Effect::Serve]);
    assert_eq!(session.step(Input::Connected { held: HELD, expires }, &RULES, Time(0)), []);
    session
}

fn release(ended: u64) -> Effect {
    Effect::Release { held: HELD, ended: Time(ended) }
}

#[test]
fn a_silent_socket_is_closed_when_its_time_to_authenticate_is_over() {
    let mut session = Session::open(&RULES, Time(0));
    assert_eq!(session.wakes(), Some(Time(10_000)));
    assert_eq!(session.step(Input::Tick, &RULES, Time(9_999)), []);
    assert_eq!(session.step(Input::Tick, &RULES, Time(10_000)), [Effect::Close(Reason::AuthTimedOut)]);
    assert!(session.is_gone());
}

#[test]
fn a_refused_connect_releases_nothing() {
    let mut session = Session::open(&RULES, Time(0));
    session.step(Input::Request, &RULES, Time(0));
    let effects = session.step(Input::Refused(Reason::AccessDenied), &RULES, Time(1));
    assert_eq!(effects, [Effect::Close(Reason::AccessDenied)]);
}

#[test]
fn a_clean_close_leaves_at_once() {
    let effects = live(NEVER).step(Input::PeerClosed, &RULES, Time(3));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::Normal), release(3)]);
}

#[test]
fn a_client_that_does_not_follow_is_closed_when_it_is_its_time_and_its_session_waits_for_it() {
    let rules = Rules { follows: false, ..RULES };
    let told = |input| {
        let mut session = live(NEVER);
        assert_eq!(session.step(input, &rules, Time(10)), [Effect::Tell(Reason::Terminated)]);
        session
    };
    for input in [Input::Drain { until: Time(9_000), after: 40 }, Input::Shed { after: 40 }] {
        let mut closed = told(input);
        assert_eq!(closed.step(Input::Tick, &rules, Time(49)), []);
        let effects = closed.step(Input::Tick, &rules, Time(50));
        assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::Terminated)]);
        // One that goes by itself, as it was told, closes first and connects then.
        let mut gone = told(input);
        assert_eq!(gone.step(Input::PeerClosed, &rules, Time(20)), [Effect::Detach]);
        for session in [&mut closed, &mut gone] {
            assert!(session.has_no_socket() && !session.is_gone());
            assert_eq!(session.step(Input::Replaced, &rules, Time(60)), []);
            assert!(session.is_gone());
        }
    }
}

#[test]
fn a_broken_connection_waits_for_its_agent_and_then_leaves_as_of_the_break() {
    let mut session = live(NEVER);
    assert_eq!(session.step(Input::Broken, &RULES, Time(3)), [Effect::Detach]);
    assert!(session.has_no_socket() && !session.is_gone());
    assert_eq!(session.step(Input::Tick, &RULES, Time(5_002)), []);
    assert_eq!(session.step(Input::Tick, &RULES, Time(5_003)), [release(3)]);
}

#[test]
fn without_grace_a_broken_connection_leaves_at_once() {
    let rules = Rules { leave_grace: 0, ..RULES };
    let effects = live(NEVER).step(Input::Broken, &rules, Time(3));
    assert_eq!(effects, [Effect::Detach, release(3)]);
}

#[test]
fn a_half_open_connection_ends_when_it_was_last_heard() {
    let mut session = live(NEVER);
    session.step(Input::Frame, &RULES, Time(12_000));
    assert_eq!(session.step(Input::Tick, &RULES, Time(30_000)), [Effect::Ping]);
    assert_eq!(session.wakes(), Some(Time(35_000)));
    let effects = session.step(Input::Tick, &RULES, Time(35_000));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::PongTimedOut)]);
    assert_eq!(session.step(Input::Tick, &RULES, Time(40_000)), [release(12_000)]);
}

#[test]
fn a_replaced_socket_is_closed_and_releases_nothing() {
    let effects = live(NEVER).step(Input::Replaced, &RULES, Time(3));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::Replaced)]);
}

#[test]
fn a_socket_that_was_told_to_go_yields_without_reproach_and_stays_until_its_client_closes_it() {
    let mut session = live(NEVER);
    let told = session.step(Input::Drain { until: Time(10_000), after: 0 }, &RULES, Time(0));
    assert_eq!(told, [Effect::Tell(Reason::Terminated)]);
    assert_eq!(session.step(Input::Replaced, &RULES, Time(500)), [Effect::Detach]);
    assert_eq!(session.wakes(), Some(Time(2_500)));
    let mut forgotten = session.clone();
    assert_eq!(session.step(Input::PeerClosed, &RULES, Time(600)), [Effect::Close(Reason::Normal)]);
    assert_eq!(forgotten.step(Input::Tick, &RULES, Time(2_500)), [Effect::Close(Reason::Terminated)]);
    assert!(session.is_gone() && forgotten.is_gone());
}

#[test]
fn a_session_that_the_store_lost_is_given_back_by_nobody() {
    let effects = live(NEVER).step(Input::Disowned, &RULES, Time(3));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::SessionLost)]);
    let mut lost = live(NEVER);
    lost.step(Input::Broken, &RULES, Time(3));
    assert_eq!(lost.step(Input::Disowned, &RULES, Time(4)), []);
    assert!(lost.is_gone());
}

#[test]
fn a_session_that_waits_for_its_agent_can_be_ended() {
    let mut lost = live(NEVER);
    lost.step(Input::Broken, &RULES, Time(3));
    assert_eq!(lost.step(Input::Evicted, &RULES, Time(4)), [release(3)]);
    assert!(lost.is_gone());
}

#[test]
fn a_pong_keeps_the_socket() {
    let mut session = live(NEVER);
    session.step(Input::Tick, &RULES, Time(30_000));
    session.step(Input::Pong, &RULES, Time(30_001));
    assert_eq!(session.step(Input::Tick, &RULES, Time(35_000)), []);
    assert_eq!(session.wakes(), Some(Time(60_000)));
}

#[test]
fn a_replaced_socket_gives_nothing_up() {
    let effects = live(NEVER).step(Input::Replaced, &RULES, Time(1));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::Replaced)]);
}

#[test]
fn an_expired_token_closes_the_socket_and_the_session_waits() {
    let mut session = live(Time(4_000));
    assert_eq!(session.wakes(), Some(Time(4_000)));
    let effects = session.step(Input::Tick, &RULES, Time(4_000));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::TokenExpired)]);
}

#[test]
fn a_drained_socket_is_told_once_and_left_at_the_deadline() {
    let mut session = live(NEVER);
    let drain = Input::Drain { until: Time(10_000), after: 0 };
    assert_eq!(session.step(drain, &RULES, Time(0)), [Effect::Tell(Reason::Terminated)]);
    assert_eq!(session.step(Input::Drain { until: Time(20_000), after: 0 }, &RULES, Time(1)), []);
    let effects = session.step(Input::Tick, &RULES, Time(10_000));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::Terminated), release(10_000)]);
}

#[test]
fn a_socket_that_is_shed_is_asked_once_and_may_stay() {
    let mut session = live(NEVER);
    assert_eq!(session.step(Input::Shed { after: 0 }, &RULES, Time(0)), [Effect::Tell(Reason::Terminated)]);
    assert_eq!(session.step(Input::Shed { after: 0 }, &RULES, Time(1)), []);
    assert_eq!(session.wakes(), Some(Time(30_000)), "only the next ping wakes it");
    let mut drained = session.clone();
    assert_eq!(session.step(Input::Replaced, &RULES, Time(500)), [Effect::Detach]);
    assert!(session.has_yielded(), "it did as it was asked");
    let told = drained.step(Input::Drain { until: Time(9_000), after: 0 }, &RULES, Time(2));
    assert_eq!(told, [Effect::Tell(Reason::Terminated)], "now there is a deadline");
    assert_eq!(drained.wakes(), Some(Time(9_000)));
}

#[test]
fn a_drain_that_is_called_off_closes_nobody_and_reproaches_nobody_for_going() {
    let mut session = live(NEVER);
    session.step(Input::Drain { until: Time(10_000), after: 0 }, &RULES, Time(0));
    assert_eq!(session.step(Input::Stay, &RULES, Time(1)), []);
    assert_eq!(session.step(Input::Tick, &RULES, Time(10_000)), []);
    let mut again = session.clone();
    assert_eq!(session.step(Input::Replaced, &RULES, Time(11_000)), [Effect::Detach]);
    let told = again.step(Input::Drain { until: Time(20_000), after: 0 }, &RULES, Time(12_000));
    assert_eq!(told, [Effect::Tell(Reason::Terminated)]);
}

#[test]
fn a_drain_waits_for_a_lost_agent_until_its_grace_or_the_deadline_ends() {
    let lost_at_3 = || {
        let mut session = live(NEVER);
        session.step(Input::Broken, &RULES, Time(3));
        session
    };
    for (until, end) in [(Time(2_000), 2_000), (Time(9_000), 5_003)] {
        let mut session = lost_at_3();
        assert_eq!(session.step(Input::Drain { until, after: 0 }, &RULES, Time(10)), []);
        assert_eq!(session.wakes(), Some(Time(end)));
        assert_eq!(session.step(Input::Tick, &RULES, Time(end - 1)), []);
        assert_eq!(session.step(Input::Tick, &RULES, Time(end)), [release(3)]);
    }
    let mut late = lost_at_3();
    assert_eq!(late.step(Input::Drain { until: Time(10), after: 0 }, &RULES, Time(10)), [release(3)]);
    let mut stays = lost_at_3();
    stays.step(Input::Drain { until: Time(2_000), after: 0 }, &RULES, Time(10));
    stays.step(Input::Stay, &RULES, Time(11));
    assert_eq!(stays.wakes(), Some(Time(5_003)), "its grace is its own again");
}

#[test]
fn a_connection_that_breaks_during_a_drain_waits_no_longer_than_the_drain() {
    let mut session = live(NEVER);
    session.step(Input::Drain { until: Time(2_000), after: 0 }, &RULES, Time(0));
    session.step(Input::Broken, &RULES, Time(3));
    assert_eq!(session.step(Input::Tick, &RULES, Time(2_000)), [release(3)]);
}

#[test]
fn a_flood_of_frames_is_a_violation() {
    let mut session = live(NEVER);
    for _ in 0..RULES.frames_burst {
        assert_eq!(session.step(Input::Frame, &RULES, Time(0)), []);
    }
    let effects = session.step(Input::Frame, &RULES, Time(0));
    assert_eq!(effects, [Effect::Detach, Effect::Close(Reason::PolicyViolation), release(0)]);
}

#[test]
fn a_steady_talker_is_not_a_flood() {
    let mut session = live(Time(u64::MAX));
    for tick in 0..1_000 {
        assert_eq!(session.step(Input::Frame, &RULES, Time(tick * 20)), [], "frame {tick}");
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Request),
        Just(Input::Malformed(Reason::UnsupportedRequest)),
        Just(Input::Connected { held: HELD, expires: Time(90_000) }),
        Just(Input::Refused(Reason::AccessDenied)),
        Just(Input::Frame),
        Just(Input::Pong),
        Just(Input::PeerClosed),
        Just(Input::Broken),
        Just(Input::Violation(Reason::MessageTooBig)),
        Just(Input::Overflow),
        Just(Input::Replaced),
        Just(Input::Disowned),
        Just(Input::Evicted),
        Just(Input::Drain { until: Time(50_000), after: 0 }),
        Just(Input::Shed { after: 0 }),
        Just(Input::Stay),
        Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever comes, in whatever order: a held session is released at most once, never after it was taken,
    /// never without having been held, and nothing is closed twice.
    #[test]
    fn no_order_of_inputs_breaks_ownership(inputs in prop::collection::vec((any_input(), 0u64..20_000), 1..60)) {
        let mut session = Session::open(&RULES, Time(0));
        let (mut now, mut held, mut released, mut closed, mut taken) = (Time(0), false, 0, 0, false);
        for (input, wait) in inputs {
            now = now.after(wait);
            let before = session.clone();
            for effect in session.step(input, &RULES, now) {
                match effect {
                    Effect::Release { ended, .. } => {
                        released += 1;
                        prop_assert!(held && !taken && ended <= now);
                    }
                    Effect::Close(_) => closed += 1,
                    Effect::Serve | Effect::Ping | Effect::Tell(_) | Effect::Detach => {
                        prop_assert!(!before.has_no_socket());
                    }
                }
            }
            let owned = matches!(before.phase, Phase::Live(_) | Phase::Lost { .. });
            taken |= owned && matches!(input, Input::Replaced | Input::Disowned);
            held |= matches!(input, Input::Connected { .. }) && matches!(before.phase, Phase::Claiming);
        }
        prop_assert!(released <= 1 && closed <= 1);
        if held && session.is_gone() && !taken {
            prop_assert_eq!(released, 1, "a held session that ended was given up");
        }
    }

    /// A session never sleeps past its own deadline: after a tick, the next waking lies ahead.
    #[test]
    fn waking_always_lies_ahead(waits in prop::collection::vec(0u64..40_000, 1..50)) {
        let mut session = live(NEVER);
        let mut now = Time(0);
        for wait in waits {
            now = now.after(wait);
            session.step(Input::Tick, &RULES, now);
            if let Some(at) = session.wakes() {
                prop_assert!(at > now);
            }
        }
    }
}
