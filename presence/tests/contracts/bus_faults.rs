//! The bus on NATS while things break: the wire, the server, the stream, the live path.

use crate::bus_kit::{
    NatsServer, Wire, bus, classroom, connected, entered, eventually, next, options, positions,
    publish_surely, quiet, session_ids,
};
use async_nats::jetstream::{self, stream};
use futures_util::{StreamExt, future::join_all};
use presence::{
    adapters::bus_nats::NatsBus,
    ports::{
        Fault,
        bus::{Arrival, Backlog, Bus},
    },
};
use presence_core::ids::ClassroomId;
use std::time::Duration;

async fn chat(context: &jetstream::Context, room: &ClassroomId, topic: &str) -> u64 {
    let body = r#"{"id":{"entity_type":"chat","operation":"said","sequence_id":1},"payload":{}}"#;
    let ack = context.publish(format!("classroom.{room}.{topic}"), body.into()).await;
    ack.unwrap().await.unwrap().sequence
}

async fn config(context: &jetstream::Context) -> stream::Config {
    context.get_stream("classroom").await.unwrap().cached_info().config.clone()
}

/// While this is in force, nothing reaches the live path.
async fn mute(context: &jetstream::Context) -> stream::Config {
    let was = config(context).await;
    let muted = stream::Config { republish: None, ..was.clone() };
    context.update_stream(muted).await.unwrap();
    was
}

async fn gap(subscription: &mut presence::ports::bus::Subscription) -> u64 {
    match next(subscription).await {
        Arrival::Gap { position } => position,
        Arrival::Event(event) => panic!("a gap was expected, not {}", event.seq),
    }
}

#[tokio::test]
async fn what_others_said_while_we_were_cut_off_comes_in_order_and_once() {
    let server = NatsServer::start().await;
    let wire = Wire::to(server.port).await;
    let bus = connected(options(&wire.url())).await;
    let others = server.client().await;
    let (room, id) = (classroom(), session_ids().next().unwrap());
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let mut said = vec![chat(&others, &room, "chat").await];
    assert_eq!(positions(&mut subscription, 1).await, said);

    wire.cut();
    eventually("the bus notices", async || !bus.is_up()).await;
    let refused = bus.publish(&entered(&room, id)).await.unwrap_err();
    assert!(matches!(refused, Fault::Unavailable { .. }));
    for topic in ["chat", "agent", "chat", "note"] {
        said.push(chat(&others, &room, topic).await);
    }
    wire.mend();
    said.push(publish_surely(&bus, &entered(&room, id)).await);
    assert_eq!(positions(&mut subscription, 5).await, said[1..]);
    quiet(&mut subscription).await;
}

#[tokio::test]
async fn a_restart_of_the_server_is_invisible() {
    let mut server = NatsServer::start().await;
    let bus = server.bus().await;
    let (room, mut ids) = (classroom(), session_ids());
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let mut said = vec![];
    for _ in 0..3 {
        said.push(publish_surely(&bus, &entered(&room, ids.next().unwrap())).await);
        server.restart().await;
        said.push(chat(&server.client().await, &room, "chat").await);
        said.push(publish_surely(&bus, &entered(&room, ids.next().unwrap())).await);
    }
    assert!(said.is_sorted_by(|a, b| a < b));
    assert_eq!(positions(&mut subscription, 9).await, said);
    quiet(&mut subscription).await;
}

#[tokio::test]
async fn a_bus_that_starts_before_nats_begins_when_it_comes() {
    let mut server = NatsServer::stopped("");
    let bus = bus(options(&server.url())).await;
    let (room, id) = (classroom(), session_ids().next().unwrap());
    let mut subscription = bus.subscribe(&room).await.unwrap();
    assert_eq!(subscription.position, 0);
    assert!(!bus.is_up());
    assert!(matches!(bus.publish(&entered(&room, id)).await, Err(Fault::Unavailable { .. })));
    assert!(matches!(bus.read(&room, 1, 2).await, Err(Fault::Unavailable { .. })));
    let more = tokio::time::timeout(Duration::from_millis(300), subscription.arrivals.next()).await;
    assert!(more.is_err(), "nothing can arrive yet: {more:?}");

    server.restart().await;
    let begins = gap(&mut subscription).await;
    let position = publish_surely(&bus, &entered(&room, id)).await;
    assert!(begins > 0 && begins < position);
    assert_eq!(positions(&mut subscription, 1).await, [position]);
}

#[tokio::test]
async fn a_subscription_made_while_nats_is_away_begins_at_what_was_last_seen() {
    let server = NatsServer::start().await;
    let wire = Wire::to(server.port).await;
    let bus = connected(options(&wire.url())).await;
    let room = classroom();
    let seen = publish_surely(&bus, &entered(&room, session_ids().next().unwrap())).await;
    wire.cut();
    eventually("the bus notices", async || !bus.is_up()).await;
    let missed = chat(&server.client().await, &room, "chat").await;
    let mut many = vec![];
    for _ in 0..200 {
        many.push(bus.subscribe(&room).await.unwrap());
    }
    wire.mend();
    for mut subscription in many {
        assert_eq!(subscription.position, seen);
        assert_eq!(positions(&mut subscription, 1).await, [missed]);
    }
}

#[tokio::test]
async fn a_stream_made_anew_lies_above_and_old_positions_are_not_taken_for_its_own() {
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let context = server.client().await;
    let (room, mut ids) = (classroom(), session_ids());
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let mut said = vec![];
    for id in ids.by_ref().take(3) {
        said.push(publish_surely(&bus, &entered(&room, id)).await);
    }
    assert_eq!(positions(&mut subscription, 3).await, said);

    context.delete_stream("classroom").await.unwrap();
    let anew = publish_surely(&bus, &entered(&room, ids.next().unwrap())).await;
    assert!(anew > said[2] + 1);
    let begins = gap(&mut subscription).await;
    assert!(begins > said[2], "{begins}");
    if begins < anew {
        assert_eq!(positions(&mut subscription, 1).await, [anew]);
    }
    let next = publish_surely(&bus, &entered(&room, ids.next().unwrap())).await;
    assert_eq!(positions(&mut subscription, 1).await, [next]);
    for (after, up_to) in [(said[0], said[2]), (said[1], anew), (said[2], next)] {
        assert!(matches!(bus.read(&room, after, up_to).await.unwrap(), Backlog::Unprovable));
    }
    assert!(
        matches!(bus.read(&room, anew - 1, next).await.unwrap(), Backlog::Complete(found) if found.len() == 2)
    );
}

#[tokio::test]
async fn a_stream_that_a_sibling_made_anew_is_noticed_though_its_positions_lie_below() {
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let context = server.client().await;
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let old = chat(&context, &room, "chat").await;
    assert_eq!(positions(&mut subscription, 1).await, [old]);
    let theirs = stream::Config { first_sequence: None, ..config(&context).await };
    context.delete_stream("classroom").await.unwrap();
    context.create_stream(theirs).await.unwrap();
    let first = chat(&context, &room, "chat").await;
    assert!(first < old);
    let begins = gap(&mut subscription).await;
    assert!(begins <= first);
    let second = chat(&context, &room, "chat").await;
    let heard = positions(&mut subscription, usize::from(begins < first) + 1).await;
    assert_eq!(heard.last(), Some(&second));
}

#[tokio::test]
async fn what_the_live_path_lost_is_read_from_the_stream() {
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let context = server.client().await;
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let mut said = vec![chat(&context, &room, "chat").await];
    let was = mute(&context).await;
    for _ in 0..700 {
        said.push(chat(&context, &room, "chat").await);
    }
    context.update_stream(&was).await.unwrap();
    said.push(chat(&context, &room, "chat").await);
    assert_eq!(positions(&mut subscription, 702).await, said);
    // And what no later message tells of.
    mute(&context).await;
    let last = chat(&context, &room, "note").await;
    assert_eq!(positions(&mut subscription, 1).await, [last]);
    quiet(&mut subscription).await;
}

#[tokio::test]
async fn a_loss_that_cannot_be_put_in_order_is_announced() {
    let server = NatsServer::start().await;
    let mut slow_to_check = options(&server.url());
    slow_to_check.check_every = Duration::from_secs(1);
    let bus = connected(slow_to_check).await;
    let context = server.client().await;
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let was = mute(&context).await;
    let lost = chat(&context, &room, "chat").await;
    context.update_stream(&was).await.unwrap();
    let heard = chat(&context, &room, "agent").await;
    // The other topic's loss may be found before or after; silent it never is.
    match next(&mut subscription).await {
        Arrival::Event(event) if event.seq == lost => {
            assert_eq!(positions(&mut subscription, 1).await, [heard]);
        }
        Arrival::Event(event) => {
            assert_eq!(event.seq, heard);
            assert_eq!(gap(&mut subscription).await, heard);
        }
        Arrival::Gap { position } => assert!(position >= lost),
    }
    quiet(&mut subscription).await;
}

#[tokio::test]
async fn what_the_stream_has_forgotten_is_announced() {
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let context = server.client().await;
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let first = chat(&context, &room, "chat").await;
    assert_eq!(positions(&mut subscription, 1).await, [first]);
    let was = mute(&context).await;
    let short = stream::Config { max_messages: 10, republish: None, ..was.clone() };
    context.update_stream(short).await.unwrap();
    let mut last = 0;
    for _ in 0..20 {
        last = chat(&context, &room, "chat").await;
    }
    let mut gaps = vec![gap(&mut subscription).await];
    while gaps.last() != Some(&last) {
        match next(&mut subscription).await {
            Arrival::Gap { position } => gaps.push(position),
            Arrival::Event(event) if event.seq == last => break,
            Arrival::Event(_) => {}
        }
    }
    assert!(matches!(bus.read(&room, first, last).await.unwrap(), Backlog::Unprovable));
    assert!(
        matches!(bus.read(&room, last - 10, last).await.unwrap(), Backlog::Complete(found) if found.len() == 10)
    );
}

#[tokio::test]
async fn forged_live_messages_move_nothing() {
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = jetstream::new(client.clone());
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let first = chat(&context, &room, "chat").await;
    assert_eq!(positions(&mut subscription, 1).await, [first]);
    for (seq, previous) in
        [("9000000000000000", "0"), (&(first + 9).to_string(), &(first + 8).to_string()), ("x", "0")]
    {
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in
            [("Nats-Stream", "classroom"), ("Nats-Sequence", seq), ("Nats-Last-Sequence", previous)]
        {
            headers.insert(name, value);
        }
        let subject = format!("presence.live.{room}.chat");
        client.publish_with_headers(subject, headers, "{}".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let second = chat(&context, &room, "chat").await;
    assert_eq!(positions(&mut subscription, 1).await, [second]);
    quiet(&mut subscription).await;
}

#[tokio::test]
async fn nothing_costs_a_consumer_and_dropping_unsubscribes() {
    let server = NatsServer::start_with("http: 127.0.0.1:0\n").await;
    let bus = server.bus().await;
    let context = server.client().await;
    let rooms: Vec<_> = (0..20).map(|_| classroom()).collect();
    let mut subscriptions = join_all(rooms.iter().map(|room| bus.subscribe(room))).await;
    for (room, subscription) in rooms.iter().zip(&mut subscriptions) {
        let said = chat(&context, room, "chat").await;
        assert_eq!(positions(subscription.as_mut().unwrap(), 1).await, [said]);
        bus.read(room, said - 1, said).await.unwrap();
    }
    let info = context.get_stream("classroom").await.unwrap().cached_info().clone();
    assert_eq!(info.state.consumer_count, 0);
    // Nobody hears a classroom that nobody listens to any more.
    let probe = async_nats::connect(server.url()).await.unwrap();
    let room = &rooms[0];
    drop(subscriptions);
    let nobody_listens = async || {
        let request = probe.request(format!("presence.live.{room}.probe"), "".into()).await;
        request.is_err_and(|error| error.kind() == async_nats::RequestErrorKind::NoResponders)
    };
    eventually("the subscription ends", nobody_listens).await;
}

async fn talk(bus: &NatsBus, rooms: &[ClassroomId], each: usize) -> Vec<Vec<u64>> {
    let talking = rooms.iter().map(|room| async move {
        let mut said = vec![];
        for id in session_ids().take(each) {
            said.push(publish_surely(bus, &entered(room, id)).await);
        }
        said
    });
    join_all(talking).await
}

#[tokio::test]
async fn thirty_classrooms_through_a_flapping_server_hear_everything_once() {
    const EACH: usize = 200;
    let mut server = NatsServer::start().await;
    let wire = Wire::to(server.port).await;
    let bus = connected(options(&wire.url())).await;
    let rooms: Vec<_> = (0..30).map(|_| classroom()).collect();
    let subscriptions = join_all(rooms.iter().map(|room| bus.subscribe(room))).await;
    let hearing = join_all(subscriptions.into_iter().map(|subscription| async move {
        let mut subscription = subscription.unwrap();
        let heard = positions(&mut subscription, EACH).await;
        quiet(&mut subscription).await;
        heard
    }));
    let flapping = async {
        for n in 0..6 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if n % 3 == 2 {
                server.restart().await;
            } else {
                wire.cut();
                tokio::time::sleep(Duration::from_millis(100)).await;
                wire.mend();
            }
        }
    };
    let (said, heard, ()) = tokio::join!(talk(&bus, &rooms, EACH), hearing, flapping);
    assert_eq!(heard, said);
}
