//! Apps in a small world: who is let in, what they may ask for, and what others see of it.

mod client;
mod ending;
mod joining;
mod recovering;
mod world;

use super::*;
use client::App;
use std::time::Duration;
use world::World;

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[test]
fn an_idle_socket_keeps_little() {
    assert!(size_of::<Talk>() <= 48, "{}", size_of::<Talk>());
    assert!(size_of::<Client>() <= 400, "{}", size_of::<Client>());
}

#[tokio::test]
async fn each_kind_is_let_in_and_has_its_keys() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    for kind in ["teacher", "student", "manager", "teacher_hub"] {
        let user = format!("a-{kind}");
        let app = App::enter(&engine, kind, &user).await;
        assert_eq!((app.sid.len(), app.pid.len()), (22, 22));
        let named = [
            format!("client_id={user}"),
            "org_id=o".into(),
            format!("role={kind}"),
            format!("sid={}", app.sid),
        ];
        let (own, managers) = (world.key(&user), world.key(&format!("manager:org_o_user_{user}")));
        let alive = world.key(&format!("alive:org_o_user_{user}"));
        match kind {
            "manager" => assert_eq!((own, managers), (vec![], named.to_vec())),
            "teacher_hub" => assert_eq!((own, managers), (vec![], vec![])),
            _ => assert_eq!((own, managers), (named.to_vec(), vec![])),
        }
        assert_eq!(alive.last().map(String::as_str), (kind == "teacher").then_some("state=connect"));
    }
}

#[tokio::test]
async fn the_auth_payload_is_preferred_to_the_query() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    for auth in ["token", "auth", "access_token"] {
        let mut app = App::open(&engine, "teacher", "o", Some("rubbish"));
        app.say(&format!(r#"0{{"{auth}":"ann|o|teacher|math"}}"#));
        assert!(app.hear().await.starts_with("40{"));
    }
}

#[tokio::test]
async fn who_is_refused_hears_why_and_nothing_is_written() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let good = "ann|o|teacher|math";
    let cases = [
        ("teacher", "o", None, "0", "unauthenticated"),
        ("teacher", "o", Some("rubbish"), "0", "unauthenticated"),
        ("student", "o", Some(good), "0", "access_denied"),
        ("manager", "o", Some(good), "0", "access_denied"),
        ("teacher", "p", Some(good), "0", "access_denied"),
        ("teacher", "o", Some("lesson_seat_1|o|teacher|math"), "0", "access_denied"),
        ("teacher", "o_user_", Some(good), "0", "bad_request org_id"),
        ("boss", "o", Some(good), "0", "bad_request product_type"),
        ("", "o", Some(good), "0", "bad_request role"),
        ("teacher", "o", Some(good), r#"0{"token":7}"#, "bad_request auth.token"),
        ("teacher", "o", Some(good), r#"0{"token":""}"#, "bad_request auth.token"),
    ];
    for (kind, org, token, packet, code) in cases {
        let mut app = App::open(&engine, kind, org, token);
        app.say(packet);
        let refused = app.hear().await;
        let (code, field) = code.split_once(' ').unwrap_or((code, ""));
        assert!(refused.starts_with(&format!(r#"44{{"message":"{field}"#)), "{code}: {refused}");
        assert!(refused.contains(&format!(r#""data":{{"code":"{code}""#)), "{code}: {refused}");
        assert!(app.hear().await.starts_with("close "), "{code}");
    }
    assert_eq!(world.key("ann"), [""; 0]);
    assert!(engine.apps.as_ref().unwrap().present.is_empty());
}

#[tokio::test]
async fn what_passes_closes_without_a_word_so_that_the_client_comes_back() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut app = App::open(&engine, "teacher", "o", Some("later"));
    app.say("0");
    assert_eq!(app.hear().await, "close overloaded");
    world.state.set_away(true);
    let mut app = App::open(&engine, "teacher", "o", Some("ann|o|teacher|math"));
    app.say("0");
    assert_eq!(app.hear().await, "close overloaded");
    world.state.set_away(false);
    App::enter(&engine, "teacher", "ann").await;
}

#[tokio::test]
async fn another_namespace_is_none_and_the_socket_lives() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut app = App::open(&engine, "teacher", "o", Some("ann|o|teacher|math"));
    let invalid = r#"44/admin,{"message":"Invalid namespace"}"#;
    app.say("0/admin,");
    assert_eq!(app.hear().await, invalid);
    app.say("0");
    assert!(app.hear().await.starts_with("40{"));
    app.say("0/admin,{}");
    assert_eq!(app.hear().await, invalid);
}

#[tokio::test]
async fn what_comes_before_the_connect_packet_ends_the_connection() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    for packet in [r#"2["join_lesson",{}]"#, "1", "31[]", "4{}", "9", "2[", "0/admin,[]"] {
        let mut app = App::open(&engine, "teacher", "o", Some("ann|o|teacher|math"));
        app.say(packet);
        assert_eq!(app.hear().await, "close protocol_error", "{packet}");
    }
    let mut app = App::open(&engine, "teacher", "o", Some("ann|o|teacher|math"));
    for _ in 0..1_000 {
        app.say("0/a,");
    }
    while !app.hear().await.starts_with("close policy_violation") {}
}

#[tokio::test]
async fn a_second_connect_packet_is_no_sense() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let mut app = App::enter(&engine, "teacher", "ann").await;
    app.say("0");
    assert!(app.hear().await.starts_with(r#"42["session_error",{"type":"protocol_error""#));
    assert_eq!(app.hear().await, "41");
    assert_eq!(app.hear().await, "close protocol_error");
}
