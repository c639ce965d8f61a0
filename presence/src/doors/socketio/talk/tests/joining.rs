//! `join_lesson` and `log_out`: what they do, and what they refuse.

use super::{
    World,
    client::{App, wish},
    eventually,
};
use serde_json::{Value, json};

#[tokio::test]
async fn whoever_joins_is_in_the_lesson_and_the_others_hear_it() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut ann = App::enter(&a, "teacher", "ann").await;
    let mut bob = App::enter(&b, "student", "bob").await;
    let joined = ann.join("ann", "teacher").await;
    assert_eq!(joined["agents_total"], 1);
    assert_eq!(joined["agents"][0]["agent_id"], "app.ann.school.example");
    assert_eq!((&joined["room_id"], &joined["lesson_id"]), (&json!("r1"), &json!("math")));
    assert_eq!(joined.get("seat"), None);
    let joined = bob.join("bob", "student").await;
    assert_eq!((&joined["seat"], &joined["agents_total"]), (&json!("7"), &json!(2)));
    assert_eq!(ann.hear_event().await.0, "entered app.bob.school.example");
    assert_eq!(world.key("lesson_teacher_math"), [format!("ann={}", ann.sid)]);
    assert_eq!(world.key("lesson_student_math"), [format!("bob={}", bob.sid)]);
    assert_eq!(world.key("lesson_seat_math").len(), 50);
    assert!(world.key("bob").contains(&"lesson_id=math".to_owned()));
    assert_eq!(world.reports.all(), [""; 0]);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_and_changes_nothing() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut ann = App::enter(&engine, "teacher", "ann").await;
    let with = |field: &str, value: Value| {
        let mut data = wish("ann", "teacher");
        data[field] = value;
        data
    };
    let without = |field: &str| {
        let mut data = wish("ann", "teacher");
        data.as_object_mut().unwrap().remove(field);
        data
    };
    let large = "x".repeat(1024 * 1024);
    let cases = [
        (json!("math"), "bad_request", "first argument"),
        (without("user_id"), "bad_request", "user_id is missing"),
        (without("lesson_id"), "bad_request", "lesson_id is missing"),
        (without("role"), "bad_request", "role is missing"),
        (with("user_id", json!(7)), "bad_request", "user_id is not a string"),
        (with("lesson_id", json!("a.b")), "bad_request", "lesson_id must be"),
        (with("lesson_id", json!("")), "bad_request", "lesson_id is empty"),
        (with("access_token", json!({})), "bad_request", "access_token is not a string"),
        (with("note", json!(large)), "too_large", "16384"),
        (with("user_id", json!("bob")), "forbidden", "user_id"),
        (with("role", json!("student")), "forbidden", "role"),
        (with("access_token", json!("rubbish")), "unauthenticated", "token"),
        (with("access_token", json!("later")), "unavailable", "again"),
        (with("access_token", json!("bob|o|teacher|math")), "forbidden", "access_token"),
        (with("access_token", json!("ann|p|teacher|math")), "forbidden", "access_token"),
        (with("access_token", json!("ann|o|student|math")), "forbidden", "access_token"),
        (with("lesson_id", json!("theirs")), "access_denied", "token"),
        (with("access_token", json!("ann|o|teacher|nothing")), "access_denied", "token"),
    ];
    for (data, code, named) in cases {
        let answer = ann.ask("join_lesson", &data).await;
        assert_eq!((&answer["status"], &answer["data"]["code"]), (&json!("ERROR"), &json!(code)), "{answer}");
        assert!(answer["data"]["message"].as_str().unwrap().contains(named), "{answer}");
    }
    for (lesson, code) in [("theirs", "forbidden"), ("nowhere", "lesson_not_found")] {
        let mut data = with("lesson_id", json!(lesson));
        data["access_token"] = json!(format!("ann|o|teacher|{lesson}"));
        assert_eq!(ann.ask("join_lesson", &data).await["data"]["code"], code);
    }
    assert_eq!((world.key("lesson_teacher_math"), world.key("lesson_seat_math")), (vec![], vec![]));
    assert!(engine.ledger.is_empty());
    assert_eq!(ann.join("ann", "teacher").await["agents_total"], 1);
    let again = ann.ask("join_lesson", &wish("ann", "teacher")).await;
    assert_eq!(again["data"]["code"], "already_joined");
}

#[tokio::test]
async fn packets_that_no_flow_is_for_are_answered_or_ignored() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut ann = App::enter(&engine, "teacher", "ann").await;
    ann.say(r#"2["join_lesson",{}]"#);
    assert!(ann.hear().await.starts_with(r#"42["problem",{"code":"no_acknowledgement""#));
    ann.say(r#"51-7["join_lesson",{"_placeholder":true,"num":0}]"#);
    ann.say_bytes(b"x");
    assert!(ann.hear().await.starts_with(r#"437[{"status":"ERROR","data":{"code":"bad_request""#));
    ann.say(r#"27["join_lesson"]"#);
    assert!(ann.hear().await.contains("there are no arguments"));
    ann.say(r#"2["whatever",1]"#);
    ann.say("31[]");
    ann.join("ann", "teacher").await;
    assert_eq!(engine.deps.metrics.app_events_unknown.get(), 1);
}

#[tokio::test]
async fn managers_and_hubs_join_no_lesson() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    for kind in ["manager", "teacher_hub"] {
        let mut app = App::enter(&engine, kind, "mel").await;
        let answer = app.ask("join_lesson", &wish("mel", kind)).await;
        assert_eq!(answer["data"]["code"], "forbidden");
    }
}

#[tokio::test]
async fn a_participant_with_a_token_is_known_to_have_come_back() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut bob = App::enter(&engine, "student", "bob").await;
    let mut data = wish("bob", "student");
    data["access_token"] = json!("bob|o|student|ma*");
    assert_eq!(bob.ask("join_lesson", &data).await["status"], "SUCCESS");
    assert_eq!(world.reports.all(), ["reconnect bob math r1"]);
    assert!(world.key("bob").contains(&format!("sid={}", bob.sid)));
}

#[tokio::test]
async fn while_the_lesson_state_is_away_nobody_is_seen_coming_and_going() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut bob = App::enter(&engine, "student", "bob").await;
    bob.join("bob", "student").await;
    let mut ann = App::enter(&engine, "teacher", "ann").await;
    world.state.set_away(true);
    for (event, data) in
        [("join_lesson", wish("ann", "teacher")), ("log_out", json!({"user_id": "ann", "org_id": "o"}))]
    {
        assert_eq!(ann.ask(event, &data).await["data"]["code"], "unavailable");
    }
    world.state.set_away(false);
    ann.join("ann", "teacher").await;
    assert_eq!(bob.hear_event().await.0, "entered app.ann.school.example");
    assert_eq!(bob.unheard(), 0);
}

#[tokio::test]
async fn where_the_lesson_state_fails_after_the_claim_it_is_joined_and_written_later() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut ann = App::enter(&engine, "teacher", "ann").await;
    world.state.set_away_from_joins(true);
    ann.join("ann", "teacher").await;
    assert!(world.key("lesson_teacher_math").is_empty());
    world.state.set_away_from_joins(false);
    let entry = [format!("ann={}", ann.sid)];
    eventually("what could not be written", || world.key("lesson_teacher_math") == entry).await;
}

#[tokio::test]
async fn a_log_out_is_for_oneself_and_heard_by_the_orgs_managers() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut ann = App::enter(&a, "teacher", "ann").await;
    let (mut near, mut far) = (App::enter(&a, "manager", "m1").await, App::enter(&b, "manager", "m2").await);
    for (user, org, code) in [("bob", "o", "forbidden"), ("ann", "p", "forbidden"), ("", "o", "bad_request")]
    {
        let answer = ann.ask("log_out", &json!({ "user_id": user, "org_id": org })).await;
        assert_eq!(answer["data"]["code"], code);
    }
    assert!(!world.key("alive:org_o_user_ann").is_empty());
    let leaver = json!({ "user_id": "ann", "org_id": "o" });
    assert_eq!(ann.ask("log_out", &leaver).await, json!({ "status": "SUCCESS", "data": {} }));
    assert!(world.key("alive:org_o_user_ann").is_empty());
    ann.say(&format!("2{}", json!(["log_out", leaver])));
    for manager in [&mut near, &mut far] {
        for _ in 0..2 {
            assert_eq!(manager.hear().await, r#"42["log_out",{"user_id":"ann","org_id":"o"}]"#);
        }
    }
}
