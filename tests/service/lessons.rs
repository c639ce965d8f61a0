//! Lessons of the classroom apps, seen from both doors: what is asked wrongly, one room, and what others see when a
//! connection, a socket or a replica goes.

use presence_tests::{
    Agent, App, Kind, Lesson, Opening, Person, Result, Server, Stack, Way, app::PacketKind, ensure,
    eventually, scenarios, tokens::AUDIENCE,
};
use serde_json::{Value, json};

scenarios! {
    both:
        what_is_asked_wrongly_is_answered_and_changes_nothing,
        who_is_not_let_in_hears_why,
        a_lesson_is_one_room_for_both_doors,
        whoever_comes_back_after_a_crash_has_not_left;
    full:
        whoever_joins_elsewhere_replaces_the_former_socket,
        a_replica_that_lets_go_is_not_seen_to,
        a_lost_connection_is_taken_up_elsewhere_with_what_it_missed,
        a_connection_that_heard_nothing_yet_is_taken_up_too;
}

const ORG: &str = "o1";

fn app_id(user: &str) -> String {
    format!("app.{user}.{AUDIENCE}")
}

async fn lesson(stack: &Stack) -> Result<String> {
    let id = stack.classroom("math");
    stack.add_lesson(Lesson { id: &id, org: ORG, room: Some("r1") }).await?;
    Ok(id)
}

async fn two(stack: &mut Stack) -> Result<(Server, Server)> {
    stack.use_redis().await?;
    stack.set("session.leave_grace", "60s");
    stack.set("replica.label", "here");
    let here = stack.start().await?;
    stack.set("replica.label", "there");
    Ok((here, stack.start().await?))
}

async fn hear(watcher: &mut Agent, operation: &str, agent: &str) -> Result<()> {
    let event = watcher.expect_event().await?;
    ensure!(event.is(operation, agent), "expected {operation} of {agent}: {event:?}");
    Ok(())
}

async fn expect_alive(app: &mut App) -> Result<()> {
    let code = app.ask_in_vain("log_out", &json!({ "user_id": "nobody", "org_id": ORG })).await?;
    ensure!(code == "forbidden", "{code}");
    Ok(())
}

async fn what_is_asked_wrongly_is_answered_and_changes_nothing(stack: &mut Stack) -> Result<()> {
    let keys = stack.use_redis().await?;
    let server = stack.start().await?;
    let room = lesson(stack).await?;
    let theirs = stack.classroom("theirs");
    stack.add_lesson(Lesson { id: &theirs, org: "o2", room: None }).await?;
    let ann = Person::teacher("ann", ORG);
    let mut app = server.app_by(Way::Upgrade, &ann).await?;
    app.expect_upgraded().await?;
    let before = keys.all().await?;
    let with = |field: &str, value: Value| {
        let mut data = ann.joining(&room);
        data[field] = value;
        data
    };
    let without = |field: &str| {
        let mut data = ann.joining(&room);
        data.as_object_mut().map(|data| data.remove(field));
        data
    };
    let bob = server.tokens().of_person(&Person::teacher("bob", ORG))?;
    let cases = [
        (ann.joining("nowhere"), "lesson_not_found"),
        (ann.joining(&theirs), "forbidden"),
        (without("user_id"), "bad_request"),
        (without("lesson_id"), "bad_request"),
        (without("role"), "bad_request"),
        (with("user_id", json!(1)), "bad_request"),
        (with("lesson_id", json!("a b")), "bad_request"),
        (with("role", json!(null)), "bad_request"),
        (json!([]), "bad_request"),
        (with("user_id", json!("bob")), "forbidden"),
        (with("role", json!("student")), "forbidden"),
        (with("access_token", json!(bob)), "forbidden"),
        (with("access_token", json!("x.y.z")), "unauthenticated"),
        (with("more", json!("x".repeat(1024 * 1024))), "too_large"),
    ];
    for (data, expected) in cases {
        let code = app.ask_in_vain("join_lesson", &data).await?;
        ensure!(code == expected, "{expected} was expected, not {code}");
    }
    app.emit("join_lesson", &ann.joining(&room)).await?;
    let problem = app.expect_event("problem").await?;
    ensure!(problem[0]["code"] == "no_acknowledgement", "{problem:?}");
    app.say(r#"451-99["join_lesson",{"_placeholder":true,"num":0}]"#).await?;
    app.say_binary(&[0; 8]).await?;
    let answer = app.expect_ack(99).await?;
    ensure!(answer["data"]["code"] == "bad_request", "{answer}");
    app.emit("whatever", &json!(1)).await?;
    expect_alive(&mut app).await?;
    ensure!(keys.all().await? == before, "nothing is written");
    stack.expect_nothing_written(&server, &room).await?;

    app.ask_well("join_lesson", &ann.joining(&room)).await?;
    let code = app.ask_in_vain("join_lesson", &ann.joining(&room)).await?;
    ensure!(code == "already_joined", "{code}");
    app.leave().await
}

async fn who_is_not_let_in_hears_why(stack: &mut Stack) -> Result<()> {
    let keys = stack.use_redis().await?;
    let server = stack.start().await?;
    let ann = Person::teacher("ann", ORG);
    let good = server.opening(&ann)?;
    let cases: [(Opening, &str); 7] = [
        (good.clone().without("auth"), "unauthenticated"),
        (good.clone().with("auth", "x.y.z"), "unauthenticated"),
        (good.clone().with("role", "student"), "access_denied"),
        (good.clone().with("org_id", "o2"), "access_denied"),
        (good.clone().with("product_type", "manager"), "access_denied"),
        (good.clone().with("product_type", "boss"), "bad_request"),
        (good.clone().without("org_id"), "bad_request"),
    ];
    for (opening, expected) in cases {
        for way in [Way::WebSocket, Way::Polling] {
            let opening = opening.clone().by(way);
            let mut app = App::knock("ann", server.public, &opening).await?;
            app.ask_in(&opening).await?;
            let refused = app.expect_refused().await?;
            ensure!(refused["data"]["code"] == expected, "{expected}: {refused}");
            app.drain().await?;
        }
    }
    // Before it is let in, nobody asks for anything.
    let mut early = App::knock("ann", server.public, &good).await?;
    early.emit("join_lesson", &ann.joining("math")).await?;
    early.expect_end().await?;
    ensure!(keys.names().await?.is_empty(), "nothing is written");
    Ok(())
}

async fn a_lesson_is_one_room_for_both_doors(stack: &mut Stack) -> Result<()> {
    stack.use_redis().await?;
    let server = stack.start().await?;
    let room = lesson(stack).await?;
    stack.add_seat(&room, "bob", "7").await?;
    let mut watcher = server.connect("carl", &room).await?;
    let (ann, bob) = (Person::teacher("ann", ORG), Person::student("bob", ORG));
    let mut teacher = server.app(&ann).await?;
    let joined = teacher.ask_well("join_lesson", &ann.joining(&room)).await?;
    ensure!(joined["room_id"] == "r1" && joined["agents_total"] == 2, "{joined}");
    hear(&mut watcher, "entered", &app_id("ann")).await?;
    let mut student = server.app_by(Way::Polling, &bob).await?;
    let joined = student.ask_well("join_lesson", &bob.joining(&room)).await?;
    ensure!(joined["seat"] == "7" && joined["agents_total"] == 3, "{joined}");
    hear(&mut watcher, "entered", &app_id("bob")).await?;
    let event = teacher.expect_event("event").await?;
    ensure!(event[0]["payload"]["agent_id"] == app_id("bob"), "{event:?}");
    ensure!(event[1].as_str() == Some(&*event[0]["seq"].to_string()), "{event:?}");

    let present: Vec<_> = server.agents(&room, "").await?.into_iter().map(|it| it.agent_id).collect();
    ensure!(present == [watcher.id.clone(), app_id("ann"), app_id("bob")], "{present:?}");
    ensure!(server.count(&[&room]).await?[&room] == 3, "both doors count");
    student.leave().await?;
    hear(&mut watcher, "left", &app_id("bob")).await?;
    teacher.leave().await?;
    hear(&mut watcher, "left", &app_id("ann")).await?;
    let stays = server.attendance(&room).await?;
    let ended: Vec<_> =
        stays.iter().filter(|stay| stay.left_at.is_some()).map(|stay| &stay.agent_id).collect();
    ensure!(ended == [&app_id("ann"), &app_id("bob")], "{stays:?}");
    Ok(())
}

async fn whoever_comes_back_after_a_crash_has_not_left(stack: &mut Stack) -> Result<()> {
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "20s");
    stack.expect_in_log("the lease had lapsed");
    stack.use_redis().await?;
    let server = stack.start().await?;
    let room = lesson(stack).await?;
    let ann = Person::teacher("ann", ORG);
    let mut app = server.app(&ann).await?;
    let before = app.ask_well("join_lesson", &ann.joining(&room)).await?;
    stack.process(&server).kill()?;
    app.drain().await?;

    let server = stack.start().await?;
    let mut app = server.app(&ann).await?;
    let after = app.ask_well("join_lesson", &ann.joining(&room)).await?;
    ensure!(after["session_id"] == before["session_id"], "{before} {after}");
    let stays = server.stays_of(&app_id("ann"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    if stack.kind == Kind::Full {
        let mut watcher = server.connect("carl", &room).await?;
        watcher.expect_quiet(&server, &room).await?;
    }
    app.leave().await
}

async fn whoever_joins_elsewhere_replaces_the_former_socket(stack: &mut Stack) -> Result<()> {
    let (here, there) = two(stack).await?;
    let room = lesson(stack).await?;
    let ann = Person::teacher("ann", ORG);
    let mut watcher = there.connect("carl", &room).await?;
    let mut hub = here.app(&Person::hub("hal", ORG)).await?;
    let mut first = here.app_by(Way::Upgrade, &ann).await?;
    first.ask_well("join_lesson", &ann.joining(&room)).await?;
    hear(&mut watcher, "entered", &app_id("ann")).await?;
    let mut second = there.app(&ann).await?;
    second.ask_well("join_lesson", &ann.joining(&room)).await?;
    let told = first.expect_event("session_error").await?;
    ensure!(told[0]["type"] == "replaced", "{told:?}");
    first.expect_disconnected().await?;
    watcher.expect_quiet(&there, &room).await?;
    // What the hub hears first is her end, and not that of her first socket.
    second.leave().await?;
    hear(&mut watcher, "left", &app_id("ann")).await?;
    let gone = hub.expect_event("teacher_disconnect").await?;
    ensure!(gone[0] == json!({ "user_id": "ann" }), "{gone:?}");
    expect_alive(&mut hub).await
}

async fn a_replica_that_lets_go_is_not_seen_to(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_timeout", "60s");
    let (here, there) = two(stack).await?;
    let room = lesson(stack).await?;
    let ann = Person::teacher("ann", ORG);
    let mut watcher = there.connect("carl", &room).await?;
    let mut hub = there.app(&Person::hub("hal", ORG)).await?;
    let mut app = here.app(&ann).await?;
    let before = app.ask_well("join_lesson", &ann.joining(&room)).await?;
    hear(&mut watcher, "entered", &app_id("ann")).await?;
    here.drain().await?;
    let told = app.expect_event("terminated").await?;
    ensure!(told[0]["reason"] == "shutdown" && told[0]["reconnect_after_ms"].is_u64(), "{told:?}");
    // It stays, as a client does that knows nothing of it, until it is closed.
    app.expect_end().await?;
    let mut app = there.app(&ann).await?;
    let after = app.ask_well("join_lesson", &ann.joining(&room)).await?;
    ensure!(after["session_id"] == before["session_id"], "{before} {after}");
    here.expect_stats("to be drained", |stats| stats.agents == 0 && stats.waiting == 0).await?;
    watcher.expect_quiet(&there, &room).await?;
    expect_alive(&mut hub).await?;
    hub.leave().await?;
    watcher.close().await?;
    app.leave().await
}

/// Ann is in the lesson here, and carl sees it from there.
async fn ann_is_here(here: &Server, there: &Server, room: &str) -> Result<(App, Agent)> {
    let mut watcher = there.connect("carl", room).await?;
    let ann = Person::teacher("ann", ORG);
    let mut app = here.app(&ann).await?;
    app.ask_well("join_lesson", &ann.joining(room)).await?;
    hear(&mut watcher, "entered", &app_id("ann")).await?;
    Ok((app, watcher))
}

async fn come_back(server: &Server, former: App, way: Way) -> Result<App> {
    let opening = server.opening(&Person::teacher("ann", ORG))?.by(way).recovering(&former.recovery()?);
    let (sid, pid) = (former.sid.clone(), former.pid.clone());
    former.vanish().await;
    let app = App::connect("ann", server.public, &opening).await?;
    ensure!((&app.sid, &app.pid) == (&sid, &pid), "it is not the same connection; {}", app.heard());
    Ok(app)
}

async fn a_lost_connection_is_taken_up_elsewhere_with_what_it_missed(stack: &mut Stack) -> Result<()> {
    let (here, there) = two(stack).await?;
    let room = lesson(stack).await?;
    let (mut app, mut watcher) = ann_is_here(&here, &there, &room).await?;
    let mut hub = there.app(&Person::hub("hal", ORG)).await?;
    let ben = here.connect("ben", &room).await?;
    app.expect_event("event").await?;
    let recovery = app.recovery()?;
    app.vanish().await;
    ben.close().await?;
    watcher.expect_entered("ben").await?;
    watcher.expect_left("ben").await?;

    let opening = there.opening(&Person::teacher("ann", ORG))?.recovering(&recovery);
    let mut app = App::connect("ann", there.public, &opening).await?;
    ensure!(app.pid.as_ref() == Some(&recovery.pid), "{}", app.heard());
    let missed = app.expect_event("event").await?;
    ensure!(missed[0]["id"]["operation"] == "left", "{missed:?}");
    // And then it goes on, live, with nothing twice.
    let dan = here.connect("dan", &room).await?;
    let next = app.expect_event("event").await?;
    ensure!(next[0]["id"]["operation"] == "entered", "{next:?}");
    watcher.expect_entered("dan").await?;
    dan.close().await?;
    watcher.expect_left("dan").await?;
    app.expect_event("event").await?;
    app = come_back(&here, app, Way::Polling).await?;
    app = come_back(&there, app, Way::Upgrade).await?;
    let code = app.ask_in_vain("join_lesson", &Person::teacher("ann", ORG).joining(&room)).await?;
    ensure!(code == "already_joined", "{code}");
    watcher.expect_quiet(&there, &room).await?;
    expect_alive(&mut hub).await
}

async fn a_connection_that_heard_nothing_yet_is_taken_up_too(stack: &mut Stack) -> Result<()> {
    let (here, there) = two(stack).await?;
    let room = lesson(stack).await?;
    let (mut app, mut watcher) = ann_is_here(&here, &there, &room).await?;
    for server in [&there, &here, &here, &there] {
        app = come_back(server, app, Way::WebSocket).await?;
    }
    watcher.expect_quiet(&there, &room).await?;
    let packet = app.expect(PacketKind::Event).await?;
    ensure!(packet.name() == "event", "{packet:?}");
    // The former connections end without a word of it.
    eventually("one connection", async || {
        let left = here.metric(r#"presence_app_sockets{kind="teacher"}"#).await?;
        ensure!(left == 0, "{left} are held");
        Ok(())
    })
    .await?;
    watcher.expect_quiet(&there, &room).await
}
