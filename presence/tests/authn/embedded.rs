//! The issuer of our own: what it mints is trusted, whatever the audience, and nothing else is.

use crate::support::{AuthnExt, HandClock, NOW, Signer, claims_with};
use presence::{
    adapters::authn_jwt::{EMBEDDED_ISSUER, EmbeddedKey, JwtAuthn, MintRequest, TokenCacheOptions},
    ports::clock::Clock as _,
};
use presence_core::time::UnixMicros;
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn request(audience: &str) -> MintRequest {
    MintRequest {
        account: "teacher-1".parse().unwrap(),
        audience: audience.parse().unwrap(),
        org_id: Some("org-1".to_owned()),
        role: Some("teacher".to_owned()),
        classrooms: Some(vec!["*".to_owned()]),
        ttl: Duration::from_hours(1),
    }
}

fn server(key: &EmbeddedKey, clock: &Arc<HandClock>) -> JwtAuthn {
    JwtAuthn::embedded(key, TokenCacheOptions::default(), Arc::<HandClock>::clone(clock))
}

#[tokio::test]
async fn what_the_command_line_mints_the_server_trusts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let authn = server(&EmbeddedKey::load_or_create(folder.path()).unwrap(), &clock);
    // Another process, which finds the key there.
    let minting = EmbeddedKey::load_or_create(folder.path()).unwrap();
    for audience in ["example", "school.example"] {
        let token = minting.mint(&request(audience), clock.wall()).unwrap();
        let identity = authn.accepts(&token).await;
        assert_eq!(identity.account.as_str(), "teacher-1");
        assert_eq!(identity.audience.as_str(), audience);
        assert_eq!(identity.expires, UnixMicros((NOW + 3600) * 1_000_000));
        assert_eq!(identity.org_id.as_deref(), Some("org-1"));
        assert_eq!(identity.role.as_deref(), Some("teacher"));
        assert_eq!(identity.classrooms, Some(vec!["*".to_owned()]));
    }
    let token = minting.mint(&request("example"), clock.wall()).unwrap();
    clock.advance(Duration::from_secs(3605));
    assert_eq!(authn.rejects(&token).await, "expired");
}

#[tokio::test]
async fn nobody_else_is_the_embedded_issuer() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = HandClock::new();
    let key = EmbeddedKey::load_or_create(ours.path()).unwrap();
    let authn = server(&key, &clock);
    let other = EmbeddedKey::load_or_create(theirs.path()).unwrap();
    let foreign = other.mint(&request("example"), clock.wall()).unwrap();
    assert_eq!(authn.rejects(&foreign).await, "unknown key");
    let forged = Signer::es().token(None, &claims_with("iss", json!(EMBEDDED_ISSUER)));
    assert_eq!(authn.rejects(&forged).await, "signature");
    let other_issuer = Signer::es().token(None, &claims_with("iss", json!("somebody")));
    assert_eq!(authn.rejects(&other_issuer).await, "issuer");
    let mut two = claims_with("iss", json!(EMBEDDED_ISSUER));
    two["aud"] = json!(["a", "b"]);
    assert_eq!(authn.rejects(&Signer::es().token(None, &two)).await, "ambiguous audience");
    two["aud"] = json!([]);
    assert_eq!(authn.rejects(&Signer::es().token(None, &two)).await, "unknown audience");
}

#[tokio::test]
async fn a_lifetime_without_end_ends_in_the_year_9999() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let key = EmbeddedKey::load_or_create(folder.path()).unwrap();
    let forever = MintRequest { ttl: Duration::MAX, ..request("example") };
    let identity = server(&key, &clock).accepts(&key.mint(&forever, clock.wall()).unwrap()).await;
    assert_eq!(identity.expires.as_secs(), 253_402_300_799);
}
