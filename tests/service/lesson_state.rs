//! The lesson state when replicas die and when Redis forgets or is away: what backends read there becomes right again,
//! whoever went is told of once, and native agents notice nothing.

use presence_tests::{
    App, Context, Keys, Lesson, Person, Result, Server, Stack, ensure, eventually,
    keys::Fields,
    redis_server::RedisServer,
    scenarios,
    tokens::AUDIENCE,
    wait::{PATIENCE, eventually_within},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

scenarios! {
    full:
        the_sockets_of_a_dead_replica_are_ended_and_told_once,
        a_redis_that_forgets_everything_is_as_it_was,
        without_redis_joins_wait_and_nobody_else_notices;
}

const ORG: &str = "school-1";
const HOUR: Duration = Duration::from_hours(1);

fn short_leases(stack: &mut Stack) {
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "2s");
    stack.set("session.leave_grace", "500ms");
    // On a busy machine so short a lease may lapse between two renewals; within the return window that harms nobody.
    stack.expect_in_log("the lease had lapsed");
}

async fn start(stack: &mut Stack, labels: [&str; 3]) -> Result<Vec<Server>> {
    let mut servers = vec![];
    for label in labels {
        stack.set("replica.label", label);
        servers.push(stack.start().await?);
    }
    Ok(servers)
}

async fn join(server: &Server, person: &Person, lesson: &str) -> Result<App> {
    let mut app = server.app(person).await?;
    app.ask_well("join_lesson", &person.joining(lesson)).await?;
    Ok(app)
}

fn alive(teacher: &Person) -> String {
    format!("alive:org_{ORG}_user_{}", teacher.user)
}

async fn expect_told(hub: &mut App, teacher: &Person) -> Result<()> {
    let told = hub.expect_event("teacher_disconnect").await?;
    ensure!(told == [json!({ "user_id": teacher.user })], "{told:?}");
    Ok(())
}

/// A teacher comes and goes: the first thing that hubs hear since the last.
async fn expect_quiet(hubs: &mut [&mut App], server: &Server) -> Result<()> {
    let marker = Person::teacher("marker", ORG);
    server.app(&marker).await?.leave().await?;
    for hub in hubs {
        expect_told(hub, &marker).await.context("nothing was to be told")?;
    }
    Ok(())
}

async fn the_sockets_of_a_dead_replica_are_ended_and_told_once(stack: &mut Stack) -> Result<()> {
    short_leases(stack);
    let keys = stack.use_redis().await?;
    let lesson = stack.classroom("math");
    stack.add_lesson(Lesson { id: &lesson, org: ORG, room: Some("room") }).await?;
    let servers = start(stack, ["doomed", "second", "third"]).await?;
    let [doomed, second, third] = &servers[..] else { unreachable!("three were started") };
    let mut hubs = vec![];
    for (server, name) in [(second, "hub-2"), (third, "hub-3")] {
        hubs.push(server.app(&Person::hub(name, ORG)).await?);
    }
    let (ann, tom) = (Person::teacher("ann", ORG), Person::teacher("tom", ORG));
    let bob = Person::student("bob", ORG);
    let mut dying = vec![];
    for person in [&ann, &tom, &bob] {
        dying.push(join(doomed, person, &lesson).await?);
    }
    stack.process(doomed).kill()?;

    // Tom's client connects to what is left.
    let back = join(second, &tom, &lesson).await?;
    eventually_within(4 * PATIENCE, "the dead replica's sockets to be ended", async || {
        let found = keys.hash(&alive(&ann)).await?;
        ensure!(found.get("state").is_some_and(|state| state == "disconnect"), "ann is {found:?}");
        Ok(())
    })
    .await?;
    keys.expect_ttl(&alive(&ann), Some(HOUR)).await?;
    for hub in &mut hubs {
        expect_told(hub, &ann).await?;
    }
    keys.expect_hash(&format!("lesson_teacher_{lesson}"), &[("tom", &back.sid)]).await?;
    keys.expect_absent(&format!("lesson_student_{lesson}")).await?;
    let tom = keys.hash(&alive(&tom)).await?;
    ensure!(tom["state"] == "connect", "tom is back: {tom:?}");
    let mut listening: Vec<_> = hubs.iter_mut().collect();
    expect_quiet(&mut listening, third).await?;
    // What is left of ours is what is alive.
    eventually("nothing to be kept for the dead", async || {
        let all = keys.all().await?;
        let replicas = all.iter().filter(|key| key.starts_with("presence:sockets:")).count();
        ensure!(replicas == 2, "{all:?}");
        Ok(())
    })
    .await
}

/// Everything that backends read.
async fn everything(keys: &Keys) -> Result<BTreeMap<String, Fields>> {
    let mut found = BTreeMap::new();
    for name in keys.names().await? {
        found.insert(name.clone(), keys.hash(&name).await?);
    }
    Ok(found)
}

async fn a_redis_that_forgets_everything_is_as_it_was(stack: &mut Stack) -> Result<()> {
    stack.expect_in_log("wrote sockets again");
    let keys = stack.use_redis_alone().await?;
    let lesson = stack.classroom("math");
    stack.add_lesson(Lesson { id: &lesson, org: ORG, room: None }).await?;
    let servers = start(stack, ["first", "second", "third"]).await?;
    let mut hub = servers[2].app(&Person::hub("hub", ORG)).await?;
    let _manager = servers[1].app(&Person::manager("max", ORG)).await?;
    let (ann, bob) = (Person::teacher("ann", ORG), Person::student("bob", ORG));
    let teacher = join(&servers[0], &ann, &lesson).await?;
    let _student = join(&servers[1], &bob, &lesson).await?;
    let before = everything(&keys).await?;
    ensure!(before.len() == 7, "{before:?}");
    for _ in 0..2 {
        keys.flush().await?;
        eventually_within(2 * PATIENCE, "everything to be restored", async || {
            let found = everything(&keys).await?;
            ensure!(found == before, "found {found:?}\nexpected {before:?}");
            Ok(())
        })
        .await?;
    }
    // Whoever goes right after the next time is told of as well, and once.
    keys.flush().await?;
    teacher.leave().await?;
    expect_told(&mut hub, &ann).await?;
    expect_quiet(&mut [&mut hub], &servers[1]).await
}

async fn without_redis_joins_wait_and_nobody_else_notices(stack: &mut Stack) -> Result<()> {
    for complaint in [
        "no connection to Redis",
        "serve a classroom app",
        "waits for the lesson state",
        "wrote sockets again",
    ] {
        stack.expect_in_log(complaint);
    }
    stack.set("session.leave_grace", "500ms");
    let mut redis = RedisServer::start(&stack.folder().join("redis")).await?;
    stack.set("redis.url", redis.url()?);
    let lesson = stack.classroom("math");
    stack.add_lesson(Lesson { id: &lesson, org: ORG, room: None }).await?;
    let server = stack.start().await?;
    let mut native = server.connect("native", &lesson).await?;
    let (ann, bob) = (Person::teacher("ann", ORG), Person::student("bob", ORG));
    let mut hub = server.app(&Person::hub("hub", ORG)).await?;
    let (teacher, mut student) = (server.app(&ann).await?, server.app(&bob).await?);

    redis.kill()?;
    expect_lesson_state(&server, "down").await?;
    server.expect_metric("presence_lesson_state_up", 0).await?;
    let code = student.ask_in_vain("join_lesson", &bob.joining(&lesson)).await?;
    ensure!(code == "unavailable", "{code}");
    // Its end can be written nowhere; it waits.
    teacher.leave().await?;
    let other = server.connect("other", &lesson).await?;
    native.expect_entered("other").await?;
    other.close().await?;
    native.expect_left("other").await?;

    redis.run().await?;
    expect_lesson_state(&server, "up").await?;
    eventually("the student to join", async || student.ask_well("join_lesson", &bob.joining(&lesson)).await)
        .await?;
    native.socket.expect("entered", &format!("app.{}.{AUDIENCE}", bob.user)).await?;
    let keys = redis.keys("").await?;
    keys.expect_hash(&format!("lesson_student_{lesson}"), &[("bob", &student.sid)]).await?;
    expect_told(&mut hub, &ann).await?;
    expect_quiet(&mut [&mut hub], &server).await
}

async fn expect_lesson_state(server: &Server, expected: &str) -> Result<()> {
    eventually("readiness to say it", async || {
        let ready = server.health("/readyz").await?;
        let says = format!("\"lesson_state\":\"{expected}\"");
        ensure!(ready.status == 200 && ready.body.contains(&says), "{ready:?}");
        Ok(())
    })
    .await
}
