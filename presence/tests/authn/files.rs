//! Key files: which are taken, which are refused and how that reads, and what happens when they change.

use crate::support::{
    AuthnExt, HandClock, Signer, chain, claims_with, good_claims, issuer, options, pem, trusting, write,
};
use presence::{
    adapters::authn_jwt::{JwtAuthn, KeySource},
    ports::authn::Authn,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};

const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDidiLqH6mXUvNKaDTlnvuXG0pC
eQbB/NzPb3p/xJ0HnulOP0JrQ7KyLsdelSpitGa6/3ljP1X4JH04IUl7qhi5t0m8
1Ex0qmffTiq5/Bmj5L3mLO3gI2mdX8gWfGvMyJ7Habl4DVRuBgg57NWO/eCQiuwU
5jIc3N5c69tdch6GGQIDAQAB
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEj+wyRooAJ6jtPQ29dTHzdOazGLoaoJh1
v0TOcO8PC9nPHFSnMXyNrLocy2//217ZjNe3p/6D9S7/xopPPvS2htrR4bFRUN01
jL+EAudK+gJG5Y7xzR9eh7DcmvzHME6C
-----END PUBLIC KEY-----
";
/// As long as a P-256 key, and on another curve.
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEoaqeRgaI7oqPGDuTQENsILt+jyibLbbt
Veb4Avh8iINgVBQL57qeyRXiZVdmkEgzyXYtnNPN0JdizX8sLrBQlQ==
-----END PUBLIC KEY-----
";
const ED448: &str = "-----BEGIN PUBLIC KEY-----
MEMwBQYDK2VxAzoABc7Bkkq8ppeyW/3Meo4VhcyCqX4X7kZN1siPwS276DHLwU3n
4/bhlCrJSkSAlHyuf1FSHk0AGF+A
-----END PUBLIC KEY-----
";
const X25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAPFoQ5Jl7qGob/7yO2u3SyzTCFqGNo0YnlKvit18Ck2U=
-----END PUBLIC KEY-----
";

async fn refused(text: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "the-key-file", text);
    let options = options(vec![issuer(KeySource::Files(vec![path]))]);
    let error = JwtAuthn::new(&options, HandClock::new()).await.expect_err("the file should be refused");
    let text = chain(error);
    assert!(text.contains("the-key-file"), "{text}");
    text
}

fn with(mut jwk: Value, name: &str, value: Value) -> String {
    jwk[name] = value;
    jwk.to_string()
}

#[tokio::test]
async fn a_key_that_is_weak_or_not_understood_is_refused_by_name() {
    let (es, rs, ed) = (Signer::es(), Signer::rs(), Signer::ed());
    let weak = json!({"kty": "RSA", "e": "AQAB", "n": crate::support::b64([0xC1; 128])});
    let padded =
        json!({"kty": "RSA", "e": "AQAB", "n": crate::support::b64([&[0; 128][..], &[0xC1; 128]].concat())});
    for (text, expected) in [
        (RSA_1024.to_owned(), "1024 bits"),
        (weak.to_string(), "1024 bits"),
        (padded.to_string(), "1024 bits"),
        (P384.to_owned(), "kind"),
        (SECP256K1.to_owned(), "valid"),
        (ED448.to_owned(), "kind"),
        (X25519.to_owned(), "kind"),
        (json!({"kty": "oct", "k": "c2VjcmV0"}).to_string(), "kind"),
        (with(es.jwk("a"), "crv", json!("P-384")), "kind"),
        (with(es.jwk("a"), "x", json!(crate::support::b64([1; 32]))), "valid"),
        (with(es.jwk("a"), "x", json!("AQ")), "valid"),
        (with(es.jwk("a"), "d", json!("AQ")), "private"),
        (with(rs.jwk("a"), "e", json!("AQ")), "exponent"),
        (with(rs.jwk("a"), "e", json!("Ag")), "exponent"),
        (with(rs.jwk("a"), "alg", json!("PS256")), "alg"),
        (with(ed.jwk("a"), "alg", json!("ES256")), "alg"),
        (with(es.jwk("a"), "use", json!("enc")), "use"),
        (with(es.jwk("a"), "key_ops", json!(["encrypt"])), "key_ops"),
        (with(es.jwk("a"), "kid", json!("")), "kid"),
        (with(es.jwk("a"), "kid", json!("k".repeat(129))), "kid"),
        (json!({"keys": []}).to_string(), "no usable key"),
        (json!({"keys": vec![es.jwk("a"); 101]}).to_string(), "more than 100"),
        (json!({"keys": {"a": 1}}).to_string(), "neither"),
        (json!({"keys": [es.jwk("a"), {"kty": "oct", "k": "AA"}]}).to_string(), "kind"),
        (pem("PRIVATE KEY", b"anything"), "private"),
        (pem("EC PRIVATE KEY", b"anything"), "private"),
        (pem("CERTIFICATE", &es.public_der()), "neither"),
        (pem("PUBLIC KEY", b"anything"), "kind"),
        (es.public_pem() + &rs.public_pem(), "neither"),
        (String::new(), "neither"),
        ("ssh-ed25519 AAAA me@here".to_owned(), "neither"),
    ] {
        let error = refused(&text).await;
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
    refused(es.public_der()).await;
}

#[tokio::test]
async fn a_missing_file_and_no_file_are_refused() {
    for (files, expected) in
        [(vec![PathBuf::from("/nowhere/key.pem")], "/nowhere/key.pem"), (vec![], "no key file")]
    {
        let options = options(vec![issuer(KeySource::Files(files))]);
        let error = JwtAuthn::new(&options, HandClock::new()).await.unwrap_err();
        let error = chain(error);
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_new_key_counts_when_it_is_first_needed_and_an_old_one_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let (old, new) = (Signer::es(), Signer::rs());
    let file = write(folder.path(), "key.pem", old.public_pem());
    let authn = trusting(vec![file.clone()], &clock).await;
    let (old_token, new_token) = (old.token(Some("x"), &good_claims()), new.token(Some("y"), &good_claims()));
    authn.accepts(&old_token).await;
    authn.rejects(&new_token).await;

    fs::write(&file, new.public_pem()).unwrap();
    // It was looked for a moment ago.
    authn.rejects(&new_token).await;
    clock.advance(Duration::from_secs(10));
    authn.accepts(&new_token).await;
    // The set is another, so what the old one vouched for is forgotten.
    authn.rejects(&old_token).await;
}

#[tokio::test]
async fn a_removed_key_is_noticed_though_nobody_misses_one() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let (kept, gone) = (Signer::ed(), Signer::es());
    let both = json!({"keys": [kept.jwk("kept"), gone.jwk("gone")]});
    let file = write(folder.path(), "set.json", both.to_string());
    let authn = trusting(vec![file.clone()], &clock).await;
    let token = gone.token(Some("gone"), &claims_with("exp", json!(crate::support::NOW + 3600)));
    authn.accepts(&token).await;
    fs::write(&file, json!({"keys": [kept.jwk("kept")]}).to_string()).unwrap();
    clock.advance(Duration::from_mins(1));
    authn.rejects(&token).await;
    authn.accepts(&kept.token(Some("kept"), &good_claims())).await;
}

#[tokio::test]
async fn a_broken_or_missing_file_leaves_the_last_good_keys() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let signer = Signer::es();
    let file = write(folder.path(), "key.pem", signer.public_pem());
    let authn = trusting(vec![file.clone()], &clock).await;
    for breakage in [Some(RSA_1024), Some(""), None] {
        match breakage {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        clock.advance(Duration::from_secs(61));
        authn.accepts(&signer.token(None, &good_claims())).await;
    }
    // And when it is whole again, it counts again.
    let next = Signer::ed();
    fs::write(&file, next.public_pem()).unwrap();
    clock.advance(Duration::from_secs(61));
    assert!(authn.authenticate(&next.token(None, &good_claims())).await.is_ok());
}
