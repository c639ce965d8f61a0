//! A key set that is published: rotation, outages, floods, and answers that should not be believed.

use crate::support::{
    AuthnExt, HandClock, NOW, Signer, chain, claims_with, issuer, options,
    server::{Answer, Server, free_address},
};
use axum::http::StatusCode;
use futures_util::{FutureExt as _, future::join_all};
use presence::{
    adapters::authn_jwt::{JwksOptions, JwtAuthn, KeySource, OptionsError},
    ports::authn::{Authn, Error},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const DAY: Duration = Duration::from_hours(24);
const REFRESH: Duration = Duration::from_mins(5);
const GAP: Duration = Duration::from_secs(30);

fn set(keys: &[Value]) -> Answer {
    Answer::ok(json!({"keys": keys}))
}

async fn authn(url: String, clock: &Arc<HandClock>) -> JwtAuthn {
    let options = options(vec![issuer(KeySource::Jwks(JwksOptions::new(url)))]);
    JwtAuthn::new(&options, Arc::<HandClock>::clone(clock)).await.unwrap()
}

/// A token that outlives every test here, and is like no other.
fn token(signer: &Signer, kid: &str, jti: usize) -> String {
    let mut claims = claims_with("exp", json!(NOW + 10 * 86_400));
    claims["jti"] = json!(jti);
    signer.token(Some(kid), &claims)
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let server = Server::start(set(&[signer.jwk("k1")])).await;
    let authn = authn(server.url(), &clock).await;
    assert_eq!(server.count(), 0);
    // All at once, and nobody has keys: they share one fetch.
    let tokens: Vec<_> = (0..100).map(|jti| token(&signer, "k1", jti)).collect();
    for answer in join_all(tokens.iter().map(|token| authn.authenticate(token))).await {
        answer.unwrap();
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_the_old_one_is_dropped() {
    let (old, new, clock) = (Signer::es(), Signer::rs(), HandClock::new());
    let server = Server::start(set(&[old.jwk("old")])).await;
    let authn = authn(server.url(), &clock).await;
    let old_token = token(&old, "old", 0);
    authn.accepts(&old_token).await;

    server.answer(set(&[old.jwk("old"), new.jwk("new")]));
    authn.accepts(&token(&new, "new", 1)).await;
    authn.accepts(&old_token).await;

    server.answer(set(&[new.jwk("new")]));
    clock.advance(REFRESH);
    authn.accepts(&token(&new, "new", 2)).await;
    assert_eq!(authn.rejects(&old_token).await, "unknown key");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_fetches_once() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let server = Server::start(set(&[signer.jwk("k1")])).await;
    let authn = authn(server.url(), &clock).await;
    let stranger = Signer::es();
    let flood: Vec<_> = (0..10_000).map(|n| token(&stranger, &format!("made-up-{n}"), n)).collect();
    for answer in join_all(flood.iter().map(|token| authn.authenticate(token))).await {
        assert!(matches!(answer, Err(Error::Rejected("unknown key"))));
    }
    assert!(server.count() <= 2, "{} fetches", server.count());
    for token in &flood[..1000] {
        authn.rejects(token).await;
    }
    assert!(server.count() <= 2, "{} fetches", server.count());
    authn.accepts(&token(&signer, "k1", 0)).await;

    clock.advance(GAP);
    for token in &flood[..1000] {
        authn.rejects(token).await;
    }
    assert!(server.count() <= 3, "{} fetches", server.count());
}

#[tokio::test]
async fn an_outage_leaves_the_last_keys_for_a_day() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let server = Server::start(set(&[signer.jwk("k1")])).await;
    let authn = authn(server.url(), &clock).await;
    authn.accepts(&token(&signer, "k1", 0)).await;
    let address = server.address;
    server.answer(Answer::status(StatusCode::INTERNAL_SERVER_ERROR, ""));
    clock.advance(REFRESH);
    authn.accepts(&token(&signer, "k1", 1)).await;
    assert_eq!(server.count(), 2);
    // It failed just now: others do not try again at once.
    authn.accepts(&token(&signer, "k1", 2)).await;
    assert_eq!(server.count(), 2);

    drop(server);
    clock.advance(DAY.saturating_sub(REFRESH));
    authn.accepts(&token(&signer, "k1", 3)).await;
    clock.advance(Duration::from_millis(1));
    let stale = authn.authenticate(&token(&signer, "k1", 4)).await;
    assert!(matches!(stale, Err(Error::Unavailable)), "{stale:?}");
    // Nor is a token remembered beyond what its keys are worth.
    let remembered = authn.authenticate(&token(&signer, "k1", 3)).await;
    assert!(matches!(remembered, Err(Error::Unavailable)), "{remembered:?}");

    let _again = Server::start_at(address, set(&[signer.jwk("k1")])).await;
    clock.advance(GAP);
    authn.accepts(&token(&signer, "k1", 5)).await;
}

#[tokio::test]
async fn it_starts_while_the_url_is_down() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let address = free_address().await;
    let authn = authn(format!("http://{address}/path"), &clock).await;
    let token = token(&signer, "k1", 0);
    assert!(matches!(authn.authenticate(&token).await, Err(Error::Unavailable)));
    let _server = Server::start_at(address, set(&[signer.jwk("k1")])).await;
    // It failed just now.
    assert!(matches!(authn.authenticate(&token).await, Err(Error::Unavailable)));
    clock.advance(Duration::from_secs(1));
    authn.accepts(&token).await;
}

#[tokio::test]
async fn a_fetch_survives_the_request_that_began_it() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let slow = Answer { delay: Duration::from_millis(200), ..set(&[signer.jwk("k1")]) };
    let server = Server::start(slow).await;
    let authn = authn(server.url(), &clock).await;
    let token = token(&signer, "k1", 0);
    {
        let mut first = Box::pin(authn.authenticate(&token));
        let patience = tokio::time::timeout(Duration::from_millis(50), &mut first);
        assert!(patience.await.is_err());
    }
    authn.accepts(&token).await;
    assert_eq!(server.count(), 1);
}

/// Has the server asked, which is stuck, and walks away.
async fn ask_and_leave(authn: &JwtAuthn, token: &str, server: &Server) {
    let before = server.count();
    let asked = async {
        while server.count() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = authn.authenticate(token) => panic!("nothing can have answered, but {answer:?}"),
        asked = tokio::time::timeout(Duration::from_secs(4), asked) => asked.expect("the server is asked"),
    }
}

#[tokio::test]
async fn a_fetch_that_everybody_left_is_begun_anew() {
    let (old, new, clock) = (Signer::es(), Signer::es(), HandClock::new());
    let stuck = Answer { delay: Duration::from_hours(1), ..set(&[]) };
    let server = Server::start(stuck.clone()).await;
    let authn = authn(server.url(), &clock).await;
    let (old_token, new_token) = (token(&old, "old", 0), token(&new, "new", 1));
    ask_and_leave(&authn, &old_token, &server).await;
    server.answer(set(&[old.jwk("old")]));
    clock.advance(Duration::from_secs(5));
    authn.accepts(&old_token).await;
    assert_eq!(server.count(), 2);

    // The same where keys are there, and a token asks for another.
    server.answer(stuck);
    ask_and_leave(&authn, &new_token, &server).await;
    server.answer(set(&[old.jwk("old"), new.jwk("new")]));
    clock.advance(Duration::from_secs(5));
    authn.accepts(&new_token).await;
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn while_one_fetches_the_others_go_on_with_what_they_have() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let server = Server::start(set(&[signer.jwk("k1")])).await;
    let authn = authn(server.url(), &clock).await;
    authn.accepts(&token(&signer, "k1", 0)).await;
    server.answer(Answer { delay: Duration::from_hours(1), ..set(&[]) });
    clock.advance(REFRESH);
    let tokens: Vec<_> = (0..3).map(|jti| token(&signer, "k1", jti)).collect();
    let mut fetching = Box::pin(authn.authenticate(&tokens[0]));
    assert!(futures_util::poll!(&mut fetching).is_pending());
    // Neither waits: both are done at the first poll.
    for token in &tokens[1..] {
        assert!(authn.authenticate(token).now_or_never().expect("it should not wait").is_ok());
    }
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_changes_nothing() {
    let (signer, clock) = (Signer::es(), HandClock::new());
    let server = Server::start(set(&[signer.jwk("k1")])).await;
    let authn = authn(server.url(), &clock).await;
    authn.accepts(&token(&signer, "k1", 0)).await;
    let attacker = Signer::es();
    let trap = Server::start(set(&[attacker.jwk("evil")])).await;
    let redirect =
        Answer { headers: vec![("location", trap.url())], ..Answer::status(StatusCode::FOUND, "") };
    let large = format!(r#"{{"pad":"{}","keys":[{}]}}"#, "x".repeat(1 << 20), attacker.jwk("evil"));
    let many = vec![attacker.jwk("evil"); 101];
    for (n, answer) in [
        redirect,
        Answer::ok(large),
        Answer::ok("{"),
        Answer::ok("<html>"),
        Answer::ok(json!({"keys": []})),
        Answer::ok(json!({"keys": many})),
        Answer::ok(json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "evil"}]})),
        Answer::status(StatusCode::NOT_FOUND, json!({"keys": [attacker.jwk("evil")]})),
        Answer::status(StatusCode::NO_CONTENT, ""),
    ]
    .into_iter()
    .enumerate()
    {
        server.answer(answer);
        clock.advance(REFRESH);
        let before = server.count();
        assert_eq!(authn.rejects(&token(&attacker, "evil", n)).await, "unknown key", "answer {n}");
        assert_eq!(server.count(), before + 2, "due, and for an unknown key");
        authn.accepts(&token(&signer, "k1", 100 + n)).await;
    }
    assert_eq!(trap.count(), 0);
}

#[tokio::test]
async fn keys_for_others_in_a_published_set_are_passed_over() {
    let (signer, clock) = (Signer::ed(), HandClock::new());
    let mut encryption = Signer::rs().jwk("enc");
    encryption["use"] = json!("enc");
    let others = [json!({"kty": "oct", "k": "AA"}), json!({"kty": "new-fangled"}), json!(7), encryption];
    let keys = [&others[..], &[signer.jwk("k1")]].concat();
    let server = Server::start(set(&keys)).await;
    let authn = authn(server.url(), &clock).await;
    authn.accepts(&token(&signer, "k1", 0)).await;
}

#[tokio::test]
async fn a_token_without_kid_is_tried_against_few_keys() {
    let clock = HandClock::new();
    let signers: Vec<_> = (0..9).map(|_| Signer::es()).collect();
    let server = Server::start(set(&signers.iter().map(|signer| signer.jwk("")).collect::<Vec<_>>())).await;
    let authn = authn(server.url(), &clock).await;
    let claims = claims_with("exp", json!(NOW + 600));
    authn.accepts(&signers[7].token(None, &claims)).await;
    assert_eq!(authn.rejects(&signers[8].token(None, &claims)).await, "signature");
}

#[tokio::test]
async fn a_url_that_others_could_answer_for_is_refused_at_start() {
    for (url, allow_http, fine) in [
        ("https://iam.example.org/jwks", false, true),
        ("http://iam.example.org/jwks", true, true),
        ("http://iam.example.org/jwks", false, false),
        ("https://me:secret@iam.example.org/jwks", true, false),
        ("file:///etc/keys", true, false),
    ] {
        let source = KeySource::Jwks(JwksOptions { allow_http, ..JwksOptions::new(url.to_owned()) });
        let made = JwtAuthn::new(&options(vec![issuer(source)]), HandClock::new()).await;
        assert_eq!(made.is_ok(), fine, "{url}");
        if let Err(error) = made {
            assert!(matches!(error, OptionsError::Keys(_)));
            assert!(!chain(error).contains("secret"));
        }
    }
}
