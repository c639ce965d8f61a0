//! What these tests are made of. Tokens are signed here with the cryptography library itself and not with the crate
//! that the server verifies them with, so that one mistake cannot hide in both.

pub(crate) mod server;

use async_trait::async_trait;
use aws_lc_rs::{
    encoding::AsDer,
    hmac, rand,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use presence::{
    adapters::authn_jwt::{IssuerOptions, JwtAuthn, JwtOptions, KeySource, TokenCacheOptions},
    ports::{
        authn::{Authn, Error, Identity},
        clock::Clock,
    },
};
use presence_core::time::{Time, UnixMicros};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) const AUDIENCE: &str = "school.example";
pub(crate) const ISSUER: &str = "https://iam.school.example";
/// The wall clock's first second.
pub(crate) const NOW: i64 = 1_800_000_000;

/// A clock that moves when told to.
#[derive(Debug)]
pub(crate) struct HandClock {
    millis: AtomicU64,
    wall: AtomicI64,
}

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { millis: AtomicU64::new(5), wall: AtomicI64::new(NOW * 1_000_000) })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.millis.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        self.step_wall(i64::try_from(by.as_micros()).unwrap());
    }

    pub(crate) fn step_wall(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.millis.load(Ordering::SeqCst))
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(self.wall.load(Ordering::SeqCst))
    }

    fn chance(&self) -> u64 {
        4
    }
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of one of the kinds that are trusted.
pub(crate) enum Signer {
    Es(EcdsaKeyPair),
    Rs(Box<RsaKeyPair>),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn es() -> Self {
        Self::Es(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn rs() -> Self {
        Self::Rs(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) const fn alg(&self) -> &'static str {
        match self {
            Self::Es(_) => "ES256",
            Self::Rs(_) => "RS256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Es(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rs(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Es(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rs(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    pub(crate) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Es(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)})
            }
            Self::Rs(pair) => {
                let key = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": b64(key.n), "e": b64(key.e)})
            }
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
        };
        if !kid.is_empty() {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    /// A token with exactly these texts for header and claims.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_bytes_of(header.as_bytes(), claims.as_bytes())
    }

    /// The same for what may be no text at all.
    pub(crate) fn sign_bytes_of(&self, header: &[u8], claims: &[u8]) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// A well-formed token with these claims.
    pub(crate) fn token(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"typ": "JWT", "alg": self.alg()});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        self.sign(&header.to_string(), &claims.to_string())
    }
}

/// A token signed with HMAC, as in the attack that takes a public key's text for a secret.
pub(crate) fn sign_hmac(secret: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", b64(tag))
}

pub(crate) fn pem(tag: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
}

/// Claims that are accepted, for ten minutes.
pub(crate) fn good_claims() -> Value {
    json!({"iss": ISSUER, "sub": "Z2lkOi8vMTg=", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW})
}

/// `good_claims` with one more or another one; null removes it.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

pub(crate) fn issuer(keys: KeySource) -> IssuerOptions {
    IssuerOptions {
        audiences: vec![AUDIENCE.parse().unwrap()],
        issuer: Some(ISSUER.to_owned()),
        keys,
        leeway: Duration::from_secs(5),
    }
}

pub(crate) fn options(issuers: Vec<IssuerOptions>) -> JwtOptions {
    JwtOptions { issuers, cache: TokenCacheOptions::default() }
}

pub(crate) fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// An `Authn` that trusts these key files.
pub(crate) async fn trusting(files: Vec<PathBuf>, clock: &Arc<HandClock>) -> JwtAuthn {
    let options = options(vec![issuer(KeySource::Files(files))]);
    JwtAuthn::new(&options, Arc::<HandClock>::clone(clock)).await.unwrap()
}

/// An error and its causes, as `main` prints them.
pub(crate) fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

#[async_trait]
pub(crate) trait AuthnExt {
    async fn accepts(&self, token: &str) -> Identity;
    async fn rejects(&self, token: &str) -> &'static str;
}

#[async_trait]
impl AuthnExt for JwtAuthn {
    async fn accepts(&self, token: &str) -> Identity {
        self.authenticate(token).await.expect("the token should be trusted")
    }

    async fn rejects(&self, token: &str) -> &'static str {
        match self.authenticate(token).await {
            Err(Error::Rejected(reason)) => reason,
            other => panic!("the token should be rejected, not {other:?}"),
        }
    }
}
