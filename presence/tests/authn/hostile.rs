//! Tokens that somebody made up, changed or stole: none of them is anybody's identity. And the ones that are good.

use crate::{
    hostile_tokens::{self, World},
    support::{
        AUDIENCE, AuthnExt, HandClock, NOW, Signer, claims_with, good_claims, issuer, options, sign_hmac,
        write,
    },
};
use presence::{
    adapters::authn_jwt::{JwtAuthn, KeySource, MAX_LEEWAY_SECONDS},
    ports::authn::{Authn, MAX_TOKEN_BYTES},
};
use presence_core::time::UnixMicros;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test]
async fn no_hostile_token_is_anybody() {
    let world = World::new().await;
    let cases = hostile_tokens::all(&world);
    assert!(cases.len() >= 150, "only {} tokens", cases.len());
    let mut accepted = vec![];
    for (name, token) in &cases {
        // Twice: no refusal may be remembered as anything else.
        for _ in 0..2 {
            if world.authn.authenticate(token).await.is_ok() {
                accepted.push(name);
            }
        }
    }
    assert!(accepted.is_empty(), "{} of {} accepted: {accepted:?}", accepted.len(), cases.len());
}

#[tokio::test]
async fn every_algorithm_has_its_good_token() {
    let world = World::new().await;
    for (signer, kids) in [
        (&world.es, &[None, Some("es-1")][..]),
        (&world.rs, &[None, Some("rs-1")]),
        // A PEM key has no kid, so it stands for whatever kid its issuer gives it.
        (&world.ed, &[None, Some("any")]),
    ] {
        for kid in kids {
            let identity = world.authn.accepts(&signer.token(*kid, &good_claims())).await;
            assert_eq!(identity.account.as_str(), "Z2lkOi8vMTg=");
            assert_eq!(identity.audience.as_str(), AUDIENCE);
            assert_eq!(identity.expires, UnixMicros((NOW + 600) * 1_000_000));
            assert_eq!((identity.classrooms, identity.org_id, identity.role), (None, None, None));
        }
    }
}

#[tokio::test]
async fn harmless_variants_are_accepted() {
    let world = World::new().await;
    let claims = good_claims().to_string();
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"jwt"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":null}"#,
        // What would bring a key of the token's own is not even read.
        r#"{"alg":"ES256","jku":7,"jwk":"x","x5u":[],"x5c":{}}"#,
    ] {
        world.authn.accepts(&world.es.sign(header, &claims)).await;
    }
    for (name, value) in [
        ("aud", json!([AUDIENCE])),
        ("aud", json!(["other", AUDIENCE, AUDIENCE])),
        ("exp", json!(1_800_000_600.75)),
        ("nbf", json!(NOW + 5)),
        ("iat", json!(NOW + 5)),
        ("iat", json!(null)),
        ("sub", json!("x".repeat(255))),
        ("unheard_of", json!({"a": [1, {"b": null}]})),
    ] {
        world.authn.accepts(&world.es.token(None, &claims_with(name, value))).await;
    }
}

#[tokio::test]
async fn what_a_token_says_reaches_the_identity() {
    let world = World::new().await;
    let mut claims = claims_with("classrooms", json!(["math-7", "physics-*"]));
    claims["org_id"] = json!("org-1");
    claims["role"] = json!("teacher");
    let identity = world.authn.accepts(&world.ed.token(None, &claims)).await;
    assert_eq!(identity.classrooms.unwrap(), ["math-7", "physics-*"]);
    assert_eq!(identity.org_id.unwrap(), "org-1");
    assert_eq!(identity.role.unwrap(), "teacher");
}

#[tokio::test]
async fn refusals_say_why() {
    let world = World::new().await;
    let (es, authn) = (&world.es, &world.authn);
    let with = |name: &str, value: Value| es.token(Some("es-1"), &claims_with(name, value));
    for (reason, token) in [
        ("expired", with("exp", json!(NOW - 5))),
        ("not yet valid", with("nbf", json!(NOW + 6))),
        ("issued in the future", with("iat", json!(NOW + 6))),
        ("issuer", with("iss", json!("https://elsewhere.example"))),
        ("subject", with("sub", json!("a b"))),
        ("unknown audience", with("aud", json!("elsewhere.example"))),
        ("signature", Signer::es().token(Some("es-1"), &good_claims())),
        ("algorithm", es.token(Some("rs-1"), &good_claims())),
        ("algorithm", sign_hmac(b"x", r#"{"alg":"HS256"}"#, "{}")),
        ("longer than 8 KiB", "x".repeat(MAX_TOKEN_BYTES + 1)),
        ("key id longer than 128 bytes", es.token(Some(&"k".repeat(129)), &good_claims())),
        ("critical extension", es.sign(r#"{"alg":"ES256","crit":["x"]}"#, "{}")),
        ("unsigned", "a.b.".to_owned()),
        ("not three parts", "a.b.c.d".to_owned()),
    ] {
        assert_eq!(authn.rejects(&token).await, reason);
    }
}

#[tokio::test]
async fn a_token_for_two_configured_audiences_is_ambiguous() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Signer::es(), Signer::es());
    let source =
        |name: &str, signer: &Signer| KeySource::Files(vec![write(folder.path(), name, signer.public_pem())]);
    let mut other = issuer(source("theirs.pem", &theirs));
    other.audiences = vec!["college.test".parse().unwrap()];
    other.issuer = None;
    let options = options(vec![issuer(source("ours.pem", &ours)), other]);
    let authn = JwtAuthn::new(&options, HandClock::new()).await.unwrap();

    let both = claims_with("aud", json!([AUDIENCE, "college.test"]));
    assert_eq!(authn.rejects(&ours.token(None, &both)).await, "ambiguous audience");
    // Each issuer speaks for its own audience alone, whatever key it has.
    let their_claims = claims_with("aud", json!("college.test"));
    assert_eq!(authn.rejects(&ours.token(None, &their_claims)).await, "signature");
    assert_eq!(authn.rejects(&theirs.token(None, &good_claims())).await, "signature");
    authn.accepts(&ours.token(None, &good_claims())).await;
    authn.accepts(&theirs.token(None, &their_claims)).await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_even_when_remembered() {
    let world = World::new().await;
    let token = world.es.token(None, &claims_with("exp", json!(NOW + 10)));
    world.authn.accepts(&token).await;
    world.clock.step_wall(14_999_999);
    world.authn.accepts(&token).await;
    world.clock.step_wall(1);
    assert_eq!(world.authn.rejects(&token).await, "expired");
    // A wall clock that is set back makes it valid again, and nothing is stuck.
    world.clock.step_wall(-10_000_000);
    world.authn.accepts(&token).await;
}

#[tokio::test]
async fn leeway_beyond_a_minute_is_refused_at_start() {
    let mut issuer = issuer(KeySource::Files(vec![]));
    issuer.leeway = Duration::from_secs(u64::from(MAX_LEEWAY_SECONDS) + 1);
    let error = JwtAuthn::new(&options(vec![issuer]), HandClock::new()).await.unwrap_err();
    assert!(error.to_string().contains("60 s at most"), "{error}");
}

/// Everything that was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_text_of_a_token_reaches_an_error_a_log_or_debug_output() {
    const CANARY: &str = "cAnArY";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is on");

    let world = World::new().await;
    let marked = |name: &str| world.es.token(None, &claims_with(name, json!(format!("{CANARY} '"))));
    let mut shown = String::new();
    let mut tokens: Vec<String> = ["sub", "aud", "iss", "exp", "classrooms", "role"].map(marked).to_vec();
    tokens.push(world.es.token(Some(CANARY), &claims_with("aud", json!([AUDIENCE, CANARY]))));
    tokens.push(world.es.sign(&format!(r#"{{"alg":"{CANARY}"}}"#), "{}"));
    tokens.push(world.es.sign(&format!(r#"{{"alg":"ES256","typ":"{CANARY}"}}"#), "{}"));
    tokens.push(format!("{CANARY}.{CANARY}.{CANARY}"));
    for token in &tokens {
        let answer = world.authn.authenticate(token).await;
        if let Err(error) = answer {
            writeln!(shown, "{error} {error:?}").unwrap();
        }
        writeln!(shown, "{:?}", world.authn).unwrap();
    }
    shown += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("the log is on"));
    assert!(!shown.contains(CANARY), "{shown}");
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!shown.contains(part), "{part}");
        }
    }
}
