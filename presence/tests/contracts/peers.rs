//! The contract of the `Peers` port, on NATS, with strangers who speak on the same subjects.

use crate::bus_kit::{
    NatsServer, PATIENCE, Wire, bus, classroom, connected, entered, eventually, options, positions,
    publish_surely, session_ids,
};
use futures_util::{StreamExt, stream::BoxStream};
use presence::{
    adapters::{
        bus_nats::{Auth, NatsBus, NatsPeers, Options},
        peers_alone::NoPeers,
    },
    ports::{
        Fault,
        bus::Bus,
        peers::{Answer, Ask, Asked, Peers, Why},
    },
};
use presence_core::{
    ids::{Generation, ReplicaId, SessionId, SessionKey},
    session::Held,
};
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use tokio::time::timeout;

fn replica() -> ReplicaId {
    ReplicaId(uuid::Uuid::new_v4().as_u128())
}

fn subject(replica: ReplicaId) -> String {
    format!("presence.peer.v1.{replica}")
}

fn ask(why: Why) -> Ask {
    let key = SessionKey { agent_id: "web.ann.school.example".parse().unwrap(), classroom_id: classroom() };
    Ask { key, held: Held { session_id: SessionId(7), generation: Generation(3) }, why }
}

fn peers(bus: &NatsBus) -> NatsPeers {
    bus.peers(Counter::default())
}

async fn next(asks: &mut BoxStream<'static, Asked>) -> Asked {
    timeout(PATIENCE, asks.next()).await.expect("an ask in time").expect("a stream that goes on")
}

/// Answers every ask alike while something is done. Returns what came of it, and what was asked.
async fn answering<T>(
    asks: &mut BoxStream<'static, Asked>,
    with: Answer,
    work: impl Future<Output = T>,
) -> (T, Vec<Ask>) {
    let mut heard = vec![];
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return (done, heard),
            asked = next(asks) => {
                (asked.answer)(with);
                heard.push(asked.ask);
            }
        }
    }
}

/// Until the other one listens, can be reached again, or has a moment.
async fn ask_surely(peers: &NatsPeers, replica: ReplicaId, request: &Ask) -> Answer {
    let asking = async {
        loop {
            match peers.ask(replica, request).await {
                Ok(answer) => return answer,
                Err(Fault::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(fault) => panic!("{fault:?}"),
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("an answer in time")
}

#[tokio::test]
async fn what_is_asked_of_a_replica_comes_whole_and_its_answer_comes_back() {
    let server = NatsServer::start().await;
    let (here, there, me) = (peers(&server.bus().await), peers(&server.bus().await), replica());
    let mut asks = there.asked(me).await.unwrap();
    let (replaced, evicted) = (ask(Why::Replaced), ask(Why::Evicted));
    for (request, with) in
        [(&replaced, Answer::LetGo), (&evicted, Answer::LetGo), (&evicted, Answer::NotHere)]
    {
        let (answer, heard) = answering(&mut asks, with, ask_surely(&here, me, request)).await;
        assert_eq!(answer, with);
        assert!(heard.contains(request), "{heard:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_who_does_not_listen() {
    let server = NatsServer::start().await;
    let here = peers(&server.bus().await);
    let Err(Fault::Unavailable { source, .. }) = here.ask(replica(), &ask(Why::Replaced)).await else {
        panic!("nobody could answer")
    };
    assert!(source.to_string().contains("nobody listens"), "{source}");
}

#[tokio::test]
async fn who_listens_and_does_not_answer_is_not_waited_for() {
    let server = NatsServer::start().await;
    let (here, there, me) = (peers(&server.bus().await), peers(&server.bus().await), replica());
    let mut asks = there.asked(me).await.unwrap();
    let heard_in_vain = async || {
        let asking = here.ask(me, &ask(Why::Replaced)).await;
        matches!(asking, Err(Fault::Unavailable { source, .. }) if source.to_string().contains("in time"))
    };
    eventually("an ask without an answer", heard_in_vain).await;
    // It was heard all the same; a late answer harms nobody.
    let late = next(&mut asks).await;
    (late.answer)(Answer::LetGo);
    let asking = async { ask_surely(&here, me, &ask(Why::Evicted)).await };
    assert_eq!(answering(&mut asks, Answer::NotHere, asking).await.0, Answer::NotHere);
}

#[tokio::test]
async fn what_is_no_ask_is_counted_and_skipped() {
    let server = NatsServer::start().await;
    let (here, garbage, me) = (peers(&server.bus().await), Counter::default(), replica());
    let there = server.bus().await.peers(garbage.clone());
    let mut asks = there.asked(me).await.unwrap();
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let talking = async {
        ask_surely(&here, me, &ask(Why::Replaced)).await;
        for body in ["", "shoot", "{}", r#"{"agent_id":"*"}"#, &"x".repeat(100_000)] {
            let (reply, body) = (stranger.new_inbox(), body.to_owned());
            stranger.publish_with_reply(subject(me), reply, body.into()).await.unwrap();
        }
        let without_a_way_back =
            r#"{"agent_id":"web.a.b","classroom_id":"c","session_id":7,"generation":3,"why":"replaced"}"#;
        stranger.publish(subject(me), without_a_way_back.into()).await.unwrap();
        stranger.flush().await.unwrap();
        eventually("all are counted", async || garbage.get() == 6).await;
        ask_surely(&here, me, &ask(Why::Evicted)).await
    };
    let (answered, heard) = answering(&mut asks, Answer::LetGo, talking).await;
    assert_eq!(answered, Answer::LetGo);
    assert!(heard.iter().all(|ask| ask.key.agent_id.as_str() == "web.ann.school.example"), "{heard:?}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_fault_that_no_repetition_heals() {
    let server = NatsServer::start().await;
    let (here, me) = (peers(&server.bus().await), replica());
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let mut asked = stranger.subscribe(subject(me)).await.unwrap();
    for body in ["", r#"{"answer":"perhaps"}"#, &format!(r#"{}{{"answer":"let_go"}}"#, " ".repeat(1000))] {
        let replying = async {
            while let Some(message) = asked.next().await {
                stranger.publish(message.reply.unwrap(), body.to_owned().into()).await.unwrap();
            }
        };
        let request = ask(Why::Replaced);
        let is_failed = async || matches!(here.ask(me, &request).await, Err(Fault::Failed { .. }));
        tokio::select! {
            biased;
            () = replying => panic!("the stranger's connection ended"),
            () = eventually("a fault", is_failed) => {}
        }
    }
}

#[tokio::test]
async fn asks_are_heard_again_after_a_reconnect_and_none_is_kept_for_later() {
    let server = NatsServer::start().await;
    let wire = Wire::to(server.port).await;
    let there_bus = connected(options(&wire.url())).await;
    let here_bus = connected(options(&wire.url())).await;
    let (here, there, me) = (peers(&here_bus), peers(&there_bus), replica());
    let mut asks = there.asked(me).await.unwrap();
    let breaking = async {
        ask_surely(&here, me, &ask(Why::Replaced)).await;
        wire.cut();
        eventually("both notice", async || !here_bus.is_up() && !there_bus.is_up()).await;
        let stale = ask(Why::Replaced);
        assert!(matches!(here.ask(me, &stale).await, Err(Fault::Unavailable { .. })));
        wire.mend();
        let fresh = ask(Why::Evicted);
        ask_surely(&here, me, &fresh).await;
        (stale, fresh)
    };
    let ((stale, fresh), heard) = answering(&mut asks, Answer::LetGo, breaking).await;
    assert!(heard.contains(&fresh) && !heard.contains(&stale), "{heard:?}");
}

#[tokio::test]
async fn who_listens_while_nats_is_away_hears_once_it_is_there() {
    let mut server = NatsServer::stopped("");
    let there = bus(options(&server.url())).await;
    let (there, me) = (peers(&there), replica());
    let mut asks = there.asked(me).await.unwrap();
    server.restart().await;
    let here = peers(&server.bus().await);
    let asking = async { ask_surely(&here, me, &ask(Why::Evicted)).await };
    assert_eq!(answering(&mut asks, Answer::LetGo, asking).await.0, Answer::LetGo);
}

/// What docs/PROTOCOL.md says that a user for presence needs, and nothing else.
pub(crate) const GRANTED: &str = r#"
authorization { users: [ {
    user: presence, password: "s3cr3t-of-the-test"
    permissions: {
        publish: ["classroom.*.agent", "$JS.API.>", "presence.peer.>", "presence.notice.v1"]
        subscribe: ["presence.live.>", "presence.peer.>", "presence.notice.v1", "_INBOX.>"]
        allow_responses: true
    }
} ] }
"#;

#[tokio::test]
async fn the_documented_permissions_are_enough() {
    let server = NatsServer::start_with(GRANTED).await;
    let auth = Auth::UserPassword { user: "presence".into(), password: "s3cr3t-of-the-test".into() };
    let granted = || Options { auth: auth.clone(), ..options(&server.url()) };
    let (one, other) = (connected(granted()).await, connected(granted()).await);
    let room = classroom();
    let mut subscription = other.subscribe(&room).await.unwrap();
    let said = publish_surely(&one, &entered(&room, session_ids().next().unwrap())).await;
    assert_eq!(positions(&mut subscription, 1).await, [said]);
    one.read(&room, said - 1, said).await.unwrap();

    let me = replica();
    let there = peers(&other);
    let mut asks = there.asked(me).await.unwrap();
    let asking = async { ask_surely(&peers(&one), me, &ask(Why::Evicted)).await };
    assert_eq!(answering(&mut asks, Answer::LetGo, asking).await.0, Answer::LetGo);
}

#[tokio::test]
async fn who_is_alone_is_asked_nothing_and_has_nobody_to_ask() {
    let request = ask(Why::Replaced);
    assert_eq!(NoPeers.ask(replica(), &request).await.unwrap(), Answer::NotHere);
    let mut asks = NoPeers.asked(replica()).await.unwrap();
    assert!(futures_util::FutureExt::now_or_never(asks.next()).is_none());
}
