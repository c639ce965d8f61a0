//! Asking a service who may: the request as the existing services know it, every kind of answer, and what is kept.

use crate::support::{
    HandClock, NOW, chain,
    server::{Answer, Server, free_address},
    write,
};
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use presence::{
    adapters::authz_http::{HttpAuthz, HttpAuthzOptions, OptionsError},
    ports::{
        authn::Identity,
        authz::{Action, Authz, Error, Object},
    },
};
use presence_core::time::UnixMicros;
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn who(account: &str) -> Identity {
    Identity {
        account: account.parse().unwrap(),
        audience: "iam.example.org".parse().unwrap(),
        expires: UnixMicros(NOW * 1_000_000),
        classrooms: None,
        org_id: None,
        role: None,
    }
}

fn room(id: &str) -> Object {
    Object::Classroom(id.parse().unwrap())
}

fn options(url: String) -> HttpAuthzOptions {
    HttpAuthzOptions::new(url, "presence.svc.example.org".to_owned())
}

async fn asking(server: &Server, clock: &Arc<HandClock>) -> HttpAuthz {
    HttpAuthz::new(options(server.url()), Arc::<HandClock>::clone(clock)).await.unwrap()
}

#[tokio::test]
async fn the_question_is_the_one_that_existing_services_answer() {
    let server = Server::start(Answer::ok(json!(["read", "connect"]))).await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = write(folder.path(), "token", "  service-token\n");
    let authz = HttpAuthz::new(
        HttpAuthzOptions { token_file: Some(token_file.clone()), ..options(server.url()) },
        HandClock::new(),
    )
    .await
    .unwrap();
    let who = who("123e4567-e89b-12d3-a456-426655440000");
    authz.authorize(&who, Action::Read, &room("math-7")).await.unwrap();
    std::fs::write(&token_file, "rotated").unwrap();
    authz.authorize(&who, Action::Connect, &room("math-7")).await.unwrap();
    authz.authorize(&who, Action::Read, &Object::AllClassrooms).await.unwrap();

    let asked = server.asked();
    let bodies: Vec<&str> = asked.iter().map(|one| std::str::from_utf8(&one.body).unwrap()).collect();
    let subject =
        r#""subject":{"namespace":"iam.example.org","value":"123e4567-e89b-12d3-a456-426655440000"}"#;
    let object =
        |value: &str| format!(r#""object":{{"namespace":"presence.svc.example.org","value":{value}}}"#);
    let one_room = object(r#"["classrooms","math-7"]"#);
    assert_eq!(bodies[0], format!(r#"{{{subject},{one_room},"action":"read"}}"#));
    assert_eq!(bodies[1], format!(r#"{{{subject},{one_room},"action":"connect"}}"#));
    assert_eq!(bodies[2], format!(r#"{{{subject},{},"action":"read"}}"#, object(r#"["classrooms"]"#)));
    for one in &asked {
        assert_eq!(one.method, Method::POST);
        assert_eq!(one.headers["content-type"], "application/json");
    }
    assert_eq!(asked[0].headers["authorization"], "Bearer service-token");
    assert_eq!(asked[1].headers["authorization"], "Bearer rotated");
    assert!(!format!("{authz:?}").contains("service-token"));
}

#[tokio::test]
async fn only_an_answer_that_lists_the_action_lets_anybody_in() {
    let server = Server::start(Answer::ok("")).await;
    let clock = HandClock::new();
    let authz = asking(&server, &clock).await;
    let elsewhere = Answer {
        headers: vec![("location", server.url())],
        ..Answer::status(StatusCode::TEMPORARY_REDIRECT, "")
    };
    let allow = || json!(["connect"]);
    for (n, (answer, expected)) in [
        (Answer::ok(allow()), "allowed"),
        (Answer::ok(json!(["read", "connect", "x"])), "allowed"),
        (Answer::ok(json!([])), "denied"),
        (Answer::ok(json!(["read"])), "denied"),
        (Answer::ok(json!(["Connect", "connect ", "*"])), "denied"),
        (Answer::status(StatusCode::FORBIDDEN, ""), "denied"),
        (Answer::status(StatusCode::FORBIDDEN, allow()), "denied"),
        (Answer::status(StatusCode::UNAUTHORIZED, allow()), "unavailable"),
        (Answer::status(StatusCode::NOT_FOUND, allow()), "unavailable"),
        (Answer::status(StatusCode::INTERNAL_SERVER_ERROR, allow()), "unavailable"),
        (Answer::status(StatusCode::SERVICE_UNAVAILABLE, allow()), "unavailable"),
        (Answer::status(StatusCode::NO_CONTENT, ""), "unavailable"),
        (elsewhere, "unavailable"),
        (Answer::ok(""), "unavailable"),
        (Answer::ok("connect"), "unavailable"),
        (Answer::ok(r#""connect""#), "unavailable"),
        (Answer::ok(json!({"connect": true})), "unavailable"),
        (Answer::ok(json!(["connect", 7])), "unavailable"),
        (Answer::ok(format!("[\"connect\"{}]", " ".repeat(64 * 1024))), "unavailable"),
    ]
    .into_iter()
    .enumerate()
    {
        server.answer(answer);
        let got = match authz.authorize(&who(&format!("a{n}")), Action::Connect, &room("r")).await {
            Ok(()) => "allowed",
            Err(Error::Denied) => "denied",
            Err(Error::Unavailable) => "unavailable",
        };
        assert_eq!(got, expected, "answer {n}");
    }
}

#[tokio::test]
async fn nobody_answering_lets_nobody_in() {
    let authz =
        HttpAuthz::new(options(format!("http://{}/", free_address().await)), HandClock::new()).await.unwrap();
    let answer = authz.authorize(&who("a"), Action::Connect, &room("r")).await;
    assert!(matches!(answer, Err(Error::Unavailable)));
}

#[tokio::test]
async fn a_slow_service_is_given_up_also_by_those_who_wait_for_their_turn() {
    let server =
        Server::start(Answer { delay: Duration::from_hours(1), ..Answer::ok(json!(["connect"])) }).await;
    let slow =
        HttpAuthzOptions { timeout: Duration::from_millis(300), concurrency: 2, ..options(server.url()) };
    let authz = HttpAuthz::new(slow, HandClock::new()).await.unwrap();
    let people: Vec<_> = (0..20).map(|n| who(&format!("a{n}"))).collect();
    let object = room("r");
    for answer in join_all(people.iter().map(|who| authz.authorize(who, Action::Connect, &object))).await {
        assert!(matches!(answer, Err(Error::Unavailable)));
    }
    server.answer(Answer::ok(json!(["connect"])));
    authz.authorize(&people[0], Action::Connect, &object).await.unwrap();
}

#[tokio::test]
async fn no_more_is_asked_at_a_time_than_allowed() {
    let server =
        Server::start(Answer { delay: Duration::from_millis(5), ..Answer::ok(json!(["connect"])) }).await;
    let narrow = HttpAuthzOptions { concurrency: 3, ..options(server.url()) };
    let authz = HttpAuthz::new(narrow, HandClock::new()).await.unwrap();
    let people: Vec<_> = (0..30).map(|n| who(&format!("a{n}"))).collect();
    let object = room("r");
    for answer in join_all(people.iter().map(|who| authz.authorize(who, Action::Connect, &object))).await {
        answer.unwrap();
    }
    assert_eq!((server.count(), server.most_at_once()), (30, 3));
}

#[tokio::test]
async fn a_yes_is_kept_longer_than_a_no_and_neither_for_another_question() {
    let server = Server::start(Answer::ok(json!(["connect", "read"]))).await;
    let clock = HandClock::new();
    let authz = asking(&server, &clock).await;
    let (me, here) = (who("me"), room("here"));
    let connect = |who: Identity, object: Object| {
        let authz = &authz;
        async move { authz.authorize(&who, Action::Connect, &object).await }
    };
    connect(me.clone(), here.clone()).await.unwrap();
    server.answer(Answer::status(StatusCode::FORBIDDEN, ""));
    clock.advance(Duration::from_millis(29_999));
    connect(me.clone(), here.clone()).await.unwrap();
    assert_eq!(server.count(), 1);
    // Somebody else, somewhere else, something else.
    assert!(connect(who("you"), here.clone()).await.is_err());
    assert!(connect(me.clone(), room("there")).await.is_err());
    assert!(authz.authorize(&me, Action::Read, &here).await.is_err());
    let namesake = Identity { audience: "other.example".parse().unwrap(), ..me.clone() };
    assert!(connect(namesake, here.clone()).await.is_err());
    assert_eq!(server.count(), 5);

    clock.advance(Duration::from_millis(1));
    assert!(matches!(connect(me.clone(), here.clone()).await, Err(Error::Denied)));
    server.answer(Answer::ok(json!(["connect"])));
    clock.advance(Duration::from_millis(4999));
    assert!(matches!(connect(me.clone(), here.clone()).await, Err(Error::Denied)));
    assert_eq!(server.count(), 6);
    clock.advance(Duration::from_millis(1));
    connect(me, here).await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_decided_is_asked_again() {
    let server = Server::start(Answer::status(StatusCode::BAD_GATEWAY, "")).await;
    let authz = asking(&server, &HandClock::new()).await;
    assert!(authz.authorize(&who("me"), Action::Connect, &room("r")).await.is_err());
    server.answer(Answer::ok(json!(["connect"])));
    authz.authorize(&who("me"), Action::Connect, &room("r")).await.unwrap();
}

#[tokio::test]
async fn unsafe_options_are_refused_at_start() {
    let new = |options| HttpAuthz::new(options, HandClock::new());
    let plain = new(options("http://authz.example.org/".to_owned())).await.unwrap_err();
    assert!(matches!(plain, OptionsError::Url(_)), "{plain}");
    let missing = new(HttpAuthzOptions {
        token_file: Some("/nowhere/token".into()),
        ..options("https://authz.example.org/".to_owned())
    });
    assert!(chain(missing.await.unwrap_err()).contains("/nowhere/token"));
    let folder = tempfile::tempdir().unwrap();
    let empty = new(HttpAuthzOptions {
        token_file: Some(write(folder.path(), "empty", "\n")),
        ..options("https://authz.example.org/".to_owned())
    });
    assert!(matches!(empty.await.unwrap_err(), OptionsError::Token { .. }));
    let none = new(HttpAuthzOptions { concurrency: 0, ..options("https://authz.example.org/".to_owned()) });
    assert!(matches!(none.await.unwrap_err(), OptionsError::Concurrency));
}
