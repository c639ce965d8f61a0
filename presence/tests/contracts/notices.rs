//! The contract of the `Notices` port, on NATS, with strangers who speak on the same subject.

use crate::{
    bus_kit::{NatsServer, PATIENCE, Wire, bus, connected, eventually, options},
    peers::GRANTED,
};
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use presence::{
    adapters::{
        bus_nats::{Auth, NatsBus, NatsNotices, Options},
        notices_alone::NoNotices,
    },
    ports::{
        Fault,
        bus::Bus,
        notices::{Notice, Notices},
    },
};
use presence_core::ids::ReplicaId;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use tokio::time::timeout;

const SUBJECT: &str = "presence.notice.v1";

type Hearing = BoxStream<'static, Notice>;

fn replica() -> ReplicaId {
    ReplicaId(uuid::Uuid::new_v4().as_u128())
}

fn gone(user: &str) -> Notice {
    Notice::TeacherDisconnect { org_id: "school".parse().unwrap(), user_id: user.parse().unwrap() }
}

fn logged_out(user: &str) -> Notice {
    Notice::LogOut { org_id: "school".parse().unwrap(), user_id: user.parse().unwrap() }
}

fn notices(bus: &NatsBus) -> NatsNotices {
    bus.notices(Counter::default())
}

async fn next(hearing: &mut Hearing) -> Notice {
    timeout(PATIENCE, hearing.next()).await.expect("a notice in time").expect("a stream that goes on")
}

/// Until NATS can be reached.
async fn tell_surely(from: &NatsNotices, me: ReplicaId, notice: &Notice) {
    let told = async || from.tell(me, notice).await.is_ok();
    eventually("told", told).await;
}

/// Tells until it is heard: a subscription may be under way still. What was told before is heard no more afterwards.
async fn acquaint(from: &NatsNotices, me: ReplicaId, hearing: &mut Hearing) {
    let mut last = 0;
    let telling = async {
        loop {
            last += 1;
            tell_surely(from, me, &gone(&format!("hello-{last}"))).await;
            if let Ok(Some(_)) = timeout(Duration::from_millis(50), hearing.next()).await {
                return;
            }
        }
    };
    timeout(PATIENCE, telling).await.expect("heard in time");
    let goodbye = gone(&format!("hello-{}", last + 1));
    tell_surely(from, me, &goodbye).await;
    while next(hearing).await != goodbye {}
}

#[tokio::test]
async fn every_other_replica_hears_each_notice_once_and_in_order() {
    let server = NatsServer::start().await;
    let (here, me) = (notices(&server.bus().await), replica());
    let mut others = vec![];
    for _ in 0..2 {
        let there = notices(&server.bus().await);
        let mut hearing = there.heard(replica()).await.unwrap();
        acquaint(&here, me, &mut hearing).await;
        others.push(hearing);
    }
    // What acquainted the second was heard by the first as well.
    let said: Vec<_> =
        (0..50).flat_map(|n| [gone(&format!("t-{n}")), logged_out(&format!("t-{n}"))]).collect();
    for notice in &said {
        here.tell(me, notice).await.unwrap();
    }
    for hearing in &mut others {
        let mut heard = vec![];
        while heard.len() < said.len() {
            let notice = next(hearing).await;
            if said.contains(&notice) {
                heard.push(notice);
            }
        }
        assert_eq!(heard, said);
        assert!(hearing.next().now_or_never().is_none(), "each once");
    }
}

#[tokio::test]
async fn nobody_hears_what_it_told_itself() {
    let server = NatsServer::start().await;
    let (one, other) = (server.bus().await, server.bus().await);
    let (here, there, me, them) = (notices(&one), notices(&other), replica(), replica());
    let mut hearing = here.heard(me).await.unwrap();
    acquaint(&there, them, &mut hearing).await;
    here.tell(me, &gone("mine")).await.unwrap();
    // Of the same process, but another replica's: as its own connection would bring it.
    here.tell(them, &gone("theirs")).await.unwrap();
    assert_eq!(next(&mut hearing).await, gone("theirs"));
}

#[tokio::test]
async fn what_is_no_notice_is_counted_and_skipped() {
    let server = NatsServer::start().await;
    let (here, garbage, me) = (notices(&server.bus().await), Counter::default(), replica());
    let mut hearing = server.bus().await.notices(garbage.clone()).heard(replica()).await.unwrap();
    acquaint(&here, me, &mut hearing).await;
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let forged = r#"{"replica":"00000000-0000-0000-0000-000000000001","event":"log_out","org_id":"a_user_b","user_id":"c"}"#;
    for body in ["", "log_out", "{}", "[1]", forged, &"x".repeat(100_000)] {
        stranger.publish(SUBJECT, body.to_owned().into()).await.unwrap();
    }
    let good = r#"{"replica":"00000000-0000-0000-0000-000000000001","event":"log_out","org_id":"school","user_id":"t-1"}"#;
    stranger.publish(SUBJECT, good.into()).await.unwrap();
    stranger.flush().await.unwrap();
    assert_eq!(next(&mut hearing).await, logged_out("t-1"));
    assert_eq!(garbage.get(), 6);
}

#[tokio::test]
async fn notices_are_heard_again_after_a_reconnect_and_none_is_kept_for_later() {
    let server = NatsServer::start().await;
    let wire = Wire::to(server.port).await;
    let (here_bus, there_bus) =
        (connected(options(&wire.url())).await, connected(options(&wire.url())).await);
    let (here, me) = (notices(&here_bus), replica());
    let mut hearing = notices(&there_bus).heard(replica()).await.unwrap();
    acquaint(&here, me, &mut hearing).await;
    wire.cut();
    eventually("both notice", async || !here_bus.is_up() && !there_bus.is_up()).await;
    let told = here.tell(me, &gone("stale")).await;
    assert!(matches!(told, Err(Fault::Unavailable { .. })), "{told:?}");
    wire.mend();
    eventually("both are back", async || here_bus.is_up() && there_bus.is_up()).await;
    let fresh = logged_out("fresh");
    let telling = async {
        loop {
            tell_surely(&here, me, &fresh).await;
            match timeout(Duration::from_millis(50), hearing.next()).await {
                Ok(Some(notice)) => return notice,
                Ok(None) => panic!("the stream goes on"),
                Err(_) => {}
            }
        }
    };
    assert_eq!(timeout(PATIENCE, telling).await.expect("heard in time"), fresh);
}

#[tokio::test]
async fn who_listens_while_nats_is_away_hears_once_it_is_there() {
    let mut server = NatsServer::stopped("");
    let there = notices(&bus(options(&server.url())).await);
    let mut hearing = there.heard(replica()).await.unwrap();
    let told = there.tell(replica(), &gone("t-1")).await;
    assert!(matches!(told, Err(Fault::Unavailable { .. })), "{told:?}");
    server.restart().await;
    let here = notices(&server.bus().await);
    acquaint(&here, replica(), &mut hearing).await;
}

#[tokio::test]
async fn the_documented_permissions_are_enough() {
    let server = NatsServer::start_with(GRANTED).await;
    let auth = Auth::UserPassword { user: "presence".into(), password: "s3cr3t-of-the-test".into() };
    let granted = || Options { auth: auth.clone(), ..options(&server.url()) };
    let (here, there) = (notices(&connected(granted()).await), notices(&connected(granted()).await));
    let mut hearing = there.heard(replica()).await.unwrap();
    acquaint(&here, replica(), &mut hearing).await;
}

#[tokio::test]
async fn who_is_alone_tells_nobody_and_hears_nothing() {
    NoNotices.tell(replica(), &gone("t-1")).await.unwrap();
    let mut hearing = NoNotices.heard(replica()).await.unwrap();
    assert!(hearing.next().now_or_never().is_none());
}
