//! Public keys, from PEM and JWK. A key's type fixes its algorithm here, once, so that no token has a say in it.
//!
//! Refuses what is weak or not understood, and every private key: a server that only verifies should not hold one.

use aws_lc_rs::{
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The longest key id that is looked up.
pub(super) const MAX_KID_BYTES: usize = 128;
/// As many keys as one token is tried against, where it does not say which.
pub(super) const MAX_CANDIDATES: usize = 8;
/// A set with more keys is not believed.
const MAX_KEYS: usize = 100;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("it is neither one PEM public key nor a JWK or JWKS in JSON")]
    Format,
    #[error("it holds a private key; give the public one")]
    Private,
    #[error("it is of a kind that is not used here (EC P-256, RSA or Ed25519 are)")]
    Kind,
    #[error("its RSA modulus has {0} bits (2048 to 8192 are accepted)")]
    Weak(usize),
    #[error("its RSA exponent is not an odd number from 3 up")]
    Exponent,
    #[error("it is no valid key of its kind")]
    Invalid,
    #[error(
        "its `alg`, `use` or `key_ops` says that it is for something else than verifying this kind of signature"
    )]
    Purpose,
    #[error("its `kid` is empty or longer than 128 bytes")]
    Kid,
    #[error("it holds no usable key")]
    Empty,
    #[error("it holds more than 100 keys")]
    TooMany,
}

/// A public key and the one algorithm it is for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// What to do with a key in a set that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A file is the operator's own: say so.
    Refuse,
    /// A published set is for many readers: RFC 7517 has them ignore what they cannot use.
    Skip,
}

/// Keys that were valid together. Never empty.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// A hash of what they were read from: equal prints, equal keys.
    pub(super) print: [u8; 32],
}

impl KeySet {
    pub(super) fn new(keys: Vec<Key>, print: [u8; 32]) -> Result<Self, KeyError> {
        match keys.len() {
            0 => Err(KeyError::Empty),
            1..=MAX_KEYS => Ok(Self { keys, print }),
            _ => Err(KeyError::TooMany),
        }
    }

    pub(super) fn parse_jwks(json: &[u8], unusable: Unusable) -> Result<Self, KeyError> {
        Self::new(parse_json(json, unusable)?, Sha256::digest(json).into())
    }

    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token may be signed with: those of its kid, else those that have none (PEM files); any for a
    /// token without a kid. Of these only the ones for `alg`.
    pub(super) fn candidates(&self, kid: Option<&str>, alg: &str) -> Candidates<'_> {
        let named = kid.is_some() && self.keys.iter().any(|key| key.kid.as_deref() == kid);
        let fits = |key: &&Key| match (kid, named) {
            (None, _) => true,
            (Some(_), true) => key.kid.as_deref() == kid,
            (Some(_), false) => key.kid.is_none(),
        };
        let fitting = || self.keys.iter().filter(fits);
        Candidates {
            named,
            known: fitting().next().is_some(),
            keys: fitting().filter(|key| name(key.algorithm) == alg).take(MAX_CANDIDATES).collect(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Candidates<'a> {
    /// The set has a key of the very kid that was asked for.
    pub(super) named: bool,
    /// The set has a key that fits, if perhaps not for this algorithm.
    pub(super) known: bool,
    pub(super) keys: Vec<&'a Key>,
}

/// The keys of one file: a PEM public key, a JWK, or a JWKS.
pub(super) fn parse_file(text: &[u8]) -> Result<Vec<Key>, KeyError> {
    let keys = if text.trim_ascii_start().starts_with(b"{") {
        parse_json(text, Unusable::Refuse)?
    } else {
        vec![parse_pem(text)?]
    };
    if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
}

fn parse_json(json: &[u8], unusable: Unusable) -> Result<Vec<Key>, KeyError> {
    let document: Value = serde_json::from_slice(json).map_err(|_| KeyError::Format)?;
    let entries = match document.get("keys") {
        Some(Value::Array(entries)) => entries.clone(),
        Some(_) => return Err(KeyError::Format),
        None => vec![document],
    };
    if entries.len() > MAX_KEYS {
        return Err(KeyError::TooMany);
    }
    let keys = entries.into_iter().map(parse_jwk);
    match unusable {
        Unusable::Refuse => keys.collect(),
        Unusable::Skip => Ok(keys.filter_map(Result::ok).collect()),
    }
}

fn parse_pem(text: &[u8]) -> Result<Key, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyError::Format)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    if text.matches("-----BEGIN ").count() != 1 || !text.contains("-----BEGIN PUBLIC KEY-----") {
        return Err(KeyError::Format);
    }
    // Each of these accepts its own object identifier alone.
    let pem = text.as_bytes();
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        ec(key.try_get_as_bytes().map_err(|_| KeyError::Format)?)
    } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        ed(key.try_get_as_bytes().map_err(|_| KeyError::Format)?)
    } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        let der = key.try_get_as_bytes().map_err(|_| KeyError::Format)?;
        let public = rsa::PublicKey::from_der(der).map_err(|_| KeyError::Invalid)?;
        rsa(&RsaPublicKeyComponents::from(&public))
    } else {
        Err(KeyError::Kind)
    }
}

/// The members of RFC 7517 and 7518 that matter for a signature.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// Only ever there in a private key.
    d: Option<Value>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
}

fn parse_jwk(value: Value) -> Result<Key, KeyError> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| KeyError::Format)?;
    if jwk.d.is_some() {
        return Err(KeyError::Private);
    }
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            let (x, y) = (member(jwk.x.as_ref())?, member(jwk.y.as_ref())?);
            if x.len() != 32 || y.len() != 32 {
                return Err(KeyError::Invalid);
            }
            ec(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        ("OKP", Some("Ed25519")) => ed(&member(jwk.x.as_ref())?),
        ("RSA", _) => rsa(&RsaPublicKeyComponents { n: member(jwk.n.as_ref())?, e: member(jwk.e.as_ref())? }),
        _ => Err(KeyError::Kind),
    }?;
    let for_this = jwk.alg.is_none_or(|alg| alg == name(key.algorithm))
        && jwk.purpose.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !for_this {
        return Err(KeyError::Purpose);
    }
    if jwk.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID_BYTES) {
        return Err(KeyError::Kid);
    }
    Ok(Key { kid: jwk.kid, ..key })
}

/// Whether any key could be for the algorithm.
pub(super) fn is_supported(alg: &str) -> bool {
    [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA].map(name).contains(&alg)
}

/// An algorithm as a token's header spells it.
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::RS256 => "RS256",
        Algorithm::EdDSA => "EdDSA",
        // No key is made for another one, so no token can ask for it.
        _ => "",
    }
}

fn member(text: Option<&String>) -> Result<Vec<u8>, KeyError> {
    let text = text.ok_or(KeyError::Format)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Format)
}

/// `point` is uncompressed. Parsing it checks that it lies on P-256, and so that the key is not of another curve.
fn ec(point: &[u8]) -> Result<Key, KeyError> {
    if point.len() != 65 {
        return Err(KeyError::Kind);
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyError::Invalid)?;
    Ok(nameless(Algorithm::ES256, DecodingKey::from_ec_der(point)))
}

fn ed(bytes: &[u8]) -> Result<Key, KeyError> {
    if bytes.len() != 32 {
        return Err(KeyError::Invalid);
    }
    ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyError::Invalid)?;
    Ok(nameless(Algorithm::EdDSA, DecodingKey::from_ed_der(bytes)))
}

fn rsa(key: &RsaPublicKeyComponents<Vec<u8>>) -> Result<Key, KeyError> {
    // Leading zeros would make a short modulus look long.
    let n = trim(&key.n);
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::Weak(bits));
    }
    let e = trim(&key.e);
    if e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
        return Err(KeyError::Exponent);
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyError::Invalid)?;
    Ok(nameless(Algorithm::RS256, DecodingKey::from_rsa_raw_components(n, e)))
}

fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

const fn nameless(algorithm: Algorithm, decoding: DecodingKey) -> Key {
    Key { kid: None, algorithm, decoding }
}
