//! The contract of the `Bus` port, against every adapter.

use crate::{
    bus_fixture::Fixture,
    bus_kit::{classroom, clock, entered, next, outgoing, positions, quiet, session_ids},
};
use presence::{
    adapters::bus_in_process::{self, InProcessBus},
    event::{Body, Event, MAX_BODY_BYTES, Poison},
    ports::bus::{Arrival, Backlog, Bus},
};
use presence_api::event::{Operation, headers};
use presence_core::ids::ClassroomId;
use std::sync::Arc;

macro_rules! contract {
    ($($name:ident)*) => {
        mod nats {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Fixture::nats(super::Body::Envelope).await).await;
            })*
        }
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Fixture::in_process(super::Body::Envelope).await).await;
            })*
        }
    };
}

contract! {
    events_arrive_in_order_and_once
    publishing_again_changes_nothing
    a_subscription_begins_exactly_at_its_position
    backlog_and_arrivals_meet_without_hole_or_overlap
    a_read_brings_exactly_the_classroom_and_the_range
    a_position_that_was_never_given_is_unprovable
    too_much_is_unprovable
    what_is_no_event_is_counted_and_skipped
    sender_receiver_and_internal_are_understood
    two_subscribers_hear_the_same_bytes
    a_slow_subscriber_misses_nothing
    a_reachable_bus_is_up
}

async fn events_arrive_in_order_and_once(fixture: Fixture) {
    let (room, ids) = (classroom(), session_ids());
    let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
    let mut expected = vec![];
    for (n, id) in (0..50).zip(ids) {
        expected.push(fixture.bus.publish(&entered(&room, id)).await.unwrap());
        expected.push(fixture.chat(&room, n).await);
        // Others' traffic stands between ours.
        fixture.chat(&classroom(), n).await;
    }
    assert!(expected.is_sorted_by(|a, b| a < b));
    assert_eq!(positions(&mut subscription, 100).await, expected);
    quiet(&mut subscription).await;
}

async fn publishing_again_changes_nothing(fixture: Fixture) {
    let (room, id) = (classroom(), session_ids().next().unwrap());
    let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
    let first = fixture.bus.publish(&entered(&room, id)).await.unwrap();
    let left = fixture.bus.publish(&outgoing(&room, id, Operation::Left)).await.unwrap();
    assert_eq!(fixture.bus.publish(&entered(&room, id)).await.unwrap(), first);
    assert_eq!(fixture.bus.publish(&outgoing(&room, id, Operation::Left)).await.unwrap(), left);
    assert_eq!(positions(&mut subscription, 2).await, [first, left]);
    quiet(&mut subscription).await;
}

async fn a_subscription_begins_exactly_at_its_position(fixture: Fixture) {
    let room = classroom();
    let before = fixture.chat(&room, 1).await;
    let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
    assert!(subscription.position >= before);
    let after = fixture.chat(&room, 2).await;
    assert!(subscription.position < after);
    assert_eq!(positions(&mut subscription, 1).await, [after]);
    quiet(&mut subscription).await;
}

async fn backlog_and_arrivals_meet_without_hole_or_overlap(fixture: Fixture) {
    let room = classroom();
    let first = fixture.chat(&room, 0).await;
    let talk = async {
        let mut said = vec![];
        for n in 1..200 {
            said.push(fixture.chat(&room, n).await);
        }
        said
    };
    let listen = async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let mut heard = vec![];
        for _ in 0..5 {
            heard.push(fixture.bus.subscribe(&room).await.unwrap());
        }
        heard
    };
    let (said, heard) = tokio::join!(talk, listen);
    for mut subscription in heard {
        let mut all = fixture.read(&room, first, subscription.position).await.unwrap();
        let rest = said.len() - all.len();
        all.extend(positions(&mut subscription, rest).await);
        assert_eq!(all, said);
    }
}

async fn a_read_brings_exactly_the_classroom_and_the_range(fixture: Fixture) {
    let (room, other) = (classroom(), classroom());
    let mut said = vec![];
    for n in 0..600 {
        said.push(fixture.chat(&room, n).await);
        if n % 3 == 0 {
            fixture.chat(&other, n).await;
        }
    }
    assert_eq!(fixture.read(&room, said[0], said[599]).await.unwrap(), said[1..]);
    assert_eq!(fixture.read(&room, said[9], said[19]).await.unwrap(), said[10..=19]);
    assert_eq!(fixture.read(&room, said[9] - 1, said[10] - 1).await.unwrap(), said[9..=9]);
    assert!(fixture.read(&room, said[599], said[599]).await.unwrap().is_empty());
    assert!(fixture.read(&classroom(), said[0], said[599]).await.unwrap().is_empty());
}

async fn a_position_that_was_never_given_is_unprovable(fixture: Fixture) {
    let room = classroom();
    let first = fixture.chat(&room, 0).await;
    let last = fixture.chat(&room, 1).await;
    assert_eq!(fixture.read(&room, first, last).await, Some(vec![last]));
    for (after, up_to) in [
        (0, last),
        (1, last),
        (first, last + 1_000_000),
        (last + 1_000_000, last + 1_000_001),
        (first, u64::MAX),
    ] {
        assert_eq!(fixture.read(&room, after, up_to).await, None, "({after}, {up_to}]");
    }
}

async fn too_much_is_unprovable(fixture: Fixture) {
    let room = classroom();
    let first = fixture.chat(&room, 0).await;
    let said = futures_util::future::join_all((0..1001).map(|n| fixture.chat(&room, n))).await;
    let last = *said.iter().max().unwrap();
    assert_eq!(fixture.read(&room, first, last).await, None);
    assert_eq!(fixture.read(&room, first, last - 1).await.map(|found| found.len()), Some(1000));
}

async fn what_is_no_event_is_counted_and_skipped(fixture: Fixture) {
    let room = classroom();
    let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
    let first = fixture.chat(&room, 1).await;
    fixture.say(&room, "chat", &[], b"{ no JSON").await;
    fixture.say(&room, "chat", &[], b"{\"bare\":true}").await;
    fixture.say(&room, "chat", &[], &vec![b'1'; MAX_BODY_BYTES + 1]).await;
    fixture.say(&room, "chat", &[], &[0xff, 0xfe]).await;
    fixture.say(&room, "chat", &[], b"").await;
    let last = fixture.chat(&room, 2).await;
    assert_eq!(positions(&mut subscription, 2).await, [first, last]);
    assert_eq!(Poison::ALL.map(|poison| fixture.poison(poison)), [0, 3, 1, 1]);
    assert_eq!(fixture.read(&room, first, last).await, Some(vec![last]));
}

async fn heard(fixture: &Fixture, room: &ClassroomId, pairs: &[(&str, &str)]) -> Arc<Event> {
    let mut subscription = fixture.bus.subscribe(room).await.unwrap();
    let bare = [
        (headers::EVENT_TYPE, "note"),
        (headers::EVENT_OPERATION, "added"),
        (headers::EVENT_SEQUENCE_ID, "3"),
    ];
    fixture.say(room, "note", &[&bare, pairs].concat(), b"{\"a\":1}").await;
    match next(&mut subscription).await {
        Arrival::Event(event) => event,
        Arrival::Gap { position } => panic!("a gap at {position}"),
    }
}

async fn sender_receiver_and_internal_are_understood(fixture: Fixture) {
    let room = classroom();
    let event = heard(&fixture, &room, &[(headers::SENDER, "web.a.b"), (headers::INTERNAL, "false")]).await;
    assert_eq!(
        (event.topic.as_str(), event.sender.as_deref(), event.internal),
        ("note", Some("web.a.b"), false)
    );
    assert_eq!(event.payload.get(), "{\"a\":1}");
    assert!(heard(&fixture, &room, &[(headers::INTERNAL, "true")]).await.internal);
    let to_one = heard(&fixture, &room, &[(headers::RECEIVER, "web.c.d")]).await;
    assert!(to_one.is_for("web.c.d") && !to_one.is_for("web.e.f"));

    let id = session_ids().next().unwrap();
    let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
    let position = fixture.bus.publish(&entered(&room, id)).await.unwrap();
    let Arrival::Event(ours) = next(&mut subscription).await else { panic!("a gap") };
    assert_eq!((ours.seq, ours.id.sequence_id, ours.topic.as_str()), (position, id, "agent"));
    assert!(
        !ours.is_for(&format!("web.agent-{id}.school.example")) && ours.is_for("web.other.school.example")
    );
}

async fn two_subscribers_hear_the_same_bytes(fixture: Fixture) {
    let room = classroom();
    let mut first = fixture.bus.subscribe(&room).await.unwrap();
    let mut second = fixture.bus.subscribe(&room).await.unwrap();
    let id = session_ids().next().unwrap();
    let position = fixture.bus.publish(&entered(&room, id)).await.unwrap();
    let (Arrival::Event(a), Arrival::Event(b)) = (next(&mut first).await, next(&mut second).await) else {
        panic!("a gap")
    };
    assert_eq!(a.frame, b.frame);
    let Backlog::Complete(read) = fixture.bus.read(&room, position - 1, position).await.unwrap() else {
        panic!("unprovable")
    };
    assert_eq!(read[0].frame, a.frame);
}

async fn a_slow_subscriber_misses_nothing(fixture: Fixture) {
    let room = classroom();
    let mut slow = fixture.bus.subscribe(&room).await.unwrap();
    let mut fast = fixture.bus.subscribe(&room).await.unwrap();
    let mut said = vec![];
    for chunk in 0..15 {
        let mut some =
            futures_util::future::join_all((0..100).map(|n| fixture.chat(&room, chunk * 100 + n))).await;
        some.sort_unstable();
        // Who is slow holds nobody up.
        assert_eq!(positions(&mut fast, 100).await, some);
        said.extend(some);
    }
    assert_eq!(positions(&mut slow, 1500).await, said);
    quiet(&mut slow).await;
}

async fn a_reachable_bus_is_up(fixture: Fixture) {
    assert!(fixture.bus.is_up());
}

#[tokio::test]
async fn ours_read_the_same_on_every_bus_in_both_shapes() {
    let (room, id) = (classroom(), session_ids().next().unwrap());
    let mut heard = vec![];
    for fixture in [
        Fixture::in_process(Body::Envelope).await,
        Fixture::in_process(Body::Payload).await,
        Fixture::nats(Body::Payload).await,
    ] {
        let mut subscription = fixture.bus.subscribe(&room).await.unwrap();
        fixture.bus.publish(&entered(&room, id)).await.unwrap();
        let Arrival::Event(event) = next(&mut subscription).await else { panic!("a gap") };
        heard.push((event.id.clone(), event.payload.get().to_owned(), event.sender.clone(), event.internal));
    }
    assert!(heard.iter().all(|event| *event == heard[0]), "{heard:?}");
}

#[tokio::test]
async fn a_small_memory_tells_the_slow_and_those_who_resume_late() {
    let options = bus_in_process::Options { max_events: 10, ..Default::default() };
    let bus = InProcessBus::new(options, &*clock());
    let (room, mut ids) = (classroom(), session_ids());
    let mut slow = bus.subscribe(&room).await.unwrap();
    let mut last = 0;
    for id in ids.by_ref().take(25) {
        last = bus.publish(&entered(&room, id)).await.unwrap();
    }
    assert!(matches!(next(&mut slow).await, Arrival::Gap { position } if position == last - 10));
    assert_eq!(positions(&mut slow, 10).await, (last - 9..=last).collect::<Vec<_>>());
    assert!(matches!(bus.read(&room, last - 11, last).await.unwrap(), Backlog::Unprovable));
    assert!(
        matches!(bus.read(&room, last - 10, last).await.unwrap(), Backlog::Complete(events) if events.len() == 10)
    );
}
