//! What only a server can do to us: be away, freeze, forget, refuse writes, want a password.

use super::{
    server::RedisServer,
    stage::{A, Stage, entry, open, plain, socket},
};
use crate::bus_kit::eventually;
use presence::{
    adapters::{
        clock_system::SystemClock,
        lesson_state_redis::{Options, RedisLessonState},
    },
    ports::{Fault, lesson_state::LessonState},
};
use presence_core::app::Kind;
use redis::AsyncCommands;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// A state whose Redis may be anything.
fn kept(options: &Options) -> (Arc<RedisLessonState>, JoinSet<()>) {
    let mut running = JoinSet::new();
    let (state, run) = RedisLessonState::open(options, Arc::new(SystemClock::start())).unwrap();
    running.spawn(run);
    (state, running)
}

async fn eventually_connects(state: &dyn LessonState) {
    let ann = socket(Kind::Teacher, "ann");
    eventually("a step that works", async || state.connect(A, &ann, 1).await.is_ok()).await;
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: &Result<T, Fault>) {
    assert!(matches!(result, Err(Fault::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn while_redis_is_away_nobody_waits_for_it_and_then_it_works_again() {
    let mut server = RedisServer::stopped();
    let (state, _running) = kept(&Options { url: server.url(), ..Options::default() });
    assert_unavailable(&state.replicas().await);
    assert!(!state.is_up());
    for _ in 0..2 {
        server.restart().await;
        eventually_connects(&*state).await;
        assert!(state.is_up());
        server.stop();
        eventually("the loss is noticed", async || !state.is_up()).await;
        // Many who ask get their answer without a connection's time.
        let began = Instant::now();
        for _ in 0..1_000 {
            assert_unavailable(&state.replicas().await);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "nobody queues up");
    }
}

#[tokio::test]
async fn a_redis_that_freezes_is_noticed_by_those_who_ask_and_by_itself() {
    let server = RedisServer::start().await;
    let (state, _running) = kept(&Options { url: server.url(), ..Options::default() });
    for asks in [true, false] {
        eventually_connects(&*state).await;
        server.signal("-STOP");
        if asks {
            assert_unavailable(&state.replicas().await);
        }
        eventually("the loss is noticed", async || !state.is_up()).await;
        server.signal("-CONT");
    }
    eventually_connects(&*state).await;
}

#[tokio::test]
async fn scripts_and_keys_that_redis_forgets_are_written_again() {
    let server = RedisServer::start().await;
    let stage = Stage::on(&server.url()).await;
    let mut client = plain(&server.url()).await;
    let ann = socket(Kind::Teacher, "ann");
    stage.connect(&ann, 1).await;
    stage.join(&ann, "math").await;
    let before = stage.everything().await;
    for forget in [redis::cmd("SCRIPT").arg("FLUSH"), redis::cmd("FLUSHALL").arg("SYNC")] {
        forget.query_async::<()>(&mut client).await.unwrap();
        let lost = presence::ports::lesson_state::Entered {
            socket: ann.clone(),
            lesson: Some("math".parse().unwrap()),
        };
        stage.state.restore(A, &lost, 1, 3).await.unwrap();
        assert_eq!(stage.everything().await, before);
    }
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut client).await.unwrap();
    assert!(stage.state.end(A, &ann, None).await.unwrap().is_some());
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_left_for_the_next_one() {
    let (server, primary) = (RedisServer::start().await, RedisServer::start().await);
    let mut running = JoinSet::new();
    let state = open(&server.url(), "", &mut running).await;
    eventually_connects(&*state).await;
    let mut client = plain(&server.url()).await;
    let follow = |host: &str, port: &str| redis::cmd("REPLICAOF").arg(host).arg(port).to_owned();
    let port = primary.port.to_string();
    follow("127.0.0.1", &port).query_async::<()>(&mut client).await.unwrap();
    let ann = socket(Kind::Teacher, "ann");
    assert_unavailable(&state.connect(A, &ann, 1).await);
    eventually("it is not taken for the primary", async || !state.is_up()).await;
    follow("NO", "ONE").query_async::<()>(&mut client).await.unwrap();
    eventually_connects(&*state).await;
}

#[tokio::test]
async fn a_redis_without_room_is_away_for_now_and_keeps_its_connection() {
    let server = RedisServer::start().await;
    let (state, _running) = kept(&Options { url: server.url(), ..Options::default() });
    eventually_connects(&*state).await;
    let mut client = plain(&server.url()).await;
    let limit = |bytes: u64| redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).to_owned();
    limit(1).query_async::<()>(&mut client).await.unwrap();
    assert_unavailable(&state.connect(A, &socket(Kind::Student, "bob"), 1).await);
    assert!(state.is_up() && state.replicas().await.is_ok());
    limit(0).query_async::<()>(&mut client).await.unwrap();
    state.connect(A, &socket(Kind::Student, "bob"), 1).await.unwrap();
}

#[tokio::test]
async fn a_password_is_used_and_never_told() {
    let server = RedisServer::start_with(&["--requirepass", "s3cret-word"]).await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}/2", server.port);
    let (state, _running) = kept(&Options { url: url("s3cret-word"), ..Options::default() });
    eventually_connects(&*state).await;
    let mut client = plain(&url("s3cret-word")).await;
    assert!(client.exists::<_, bool>("ann").await.unwrap());
    let (refused, _other) = kept(&Options { url: url("wr0ng-word"), ..Options::default() });
    let said = std::sync::Mutex::new(String::new());
    eventually("the refusal is known", async || {
        let fault = refused.replicas().await.unwrap_err();
        *said.lock().unwrap() = format!("{fault:?} {refused:?} {state:?}");
        said.lock().unwrap().contains("WRONGPASS") || said.lock().unwrap().contains("authentication")
    })
    .await;
    let said = said.into_inner().unwrap();
    assert!(!said.contains("wr0ng") && !said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_key_of_another_type_is_somebody_elses_and_stops_the_whole_step() {
    let stage = Stage::redis().await;
    let (ann, bob) = (socket(Kind::Teacher, "ann"), socket(Kind::Student, "bob"));
    stage.set("ann", "mine").await;
    let refused = stage.state.connect(A, &ann, 1).await;
    assert!(matches!(refused, Err(Fault::Failed { .. })), "{refused:?}");
    assert_eq!(stage.names().await, ["ann"]);
    stage.connect(&bob, 1).await;
    let before = stage.names().await.len();
    stage.set("lesson_seat_math", "mine").await;
    let refused = stage.state.join(A, &bob, &entry("math")).await;
    assert!(matches!(refused, Err(Fault::Failed { .. })), "{refused:?}");
    assert_eq!(stage.names().await.len(), before + 1);
    assert_eq!(stage.text("lesson_seat_math").await.as_deref(), Some("mine"));
}
