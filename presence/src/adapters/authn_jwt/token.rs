//! A token's text taken apart, strictly: three parts, exact base64url, no member twice. Trusts nothing and checks no
//! signature; what comes out is what the token claims, for `judge` and the keys to agree to.

use super::keys::{self, MAX_KID_BYTES};
use crate::ports::authn::{Error, MAX_TOKEN_BYTES};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de};

/// The most audiences that one token may be for.
const MAX_AUDIENCES: usize = 16;
/// The end of the year 9999: a later moment is a mistake (milliseconds taken for seconds), and could overflow.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;

/// What the header says. Members that would bring a key of the token's own (`jwk`, `jku`, `x5c`, `x5u`) are not read.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    /// Extensions that the reader must understand. We understand none.
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) aud: Audiences,
    pub(super) exp: Seconds,
    pub(super) nbf: Option<Seconds>,
    pub(super) iat: Option<Seconds>,
    pub(super) iss: Option<String>,
    pub(super) classrooms: Option<Vec<String>>,
    pub(super) org_id: Option<String>,
    pub(super) role: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Audiences {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(audience) => std::slice::from_ref(audience),
            Self::Many(audiences) => audiences,
        }
    }
}

/// A `NumericDate` of RFC 7519: seconds since 1970, of which a fraction is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seconds(pub(super) i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(from)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fraction is meant to go, and the cast saturates"
        )]
        let seconds = number.as_i64().or_else(|| number.as_f64().map(|n| n as i64));
        match seconds {
            Some(seconds @ 0..=LAST_SECOND) => Ok(Self(seconds)),
            _ => Err(de::Error::custom("not a moment between 1970 and 9999")),
        }
    }
}

/// A token taken apart, and not trusted.
pub(super) struct Unverified<'a> {
    pub(super) header: Header,
    pub(super) claims: Claims,
    /// The text that was signed.
    pub(super) message: &'a str,
    /// Still in base64url.
    pub(super) signature: &'a str,
}

pub(super) fn parse(token: &str) -> Result<Unverified<'_>, Error> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Error::Rejected("longer than 8 KiB"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Error::Rejected("not three parts"))?;
    let (header, claims) = message.split_once('.').ok_or(Error::Rejected("not three parts"))?;
    if claims.contains('.') {
        return Err(Error::Rejected("not three parts"));
    }
    if signature.is_empty() {
        return Err(Error::Rejected("unsigned"));
    }
    let header: Header = part(header).ok_or(Error::Rejected("malformed header"))?;
    check_header(&header)?;
    let claims: Claims = part(claims).ok_or(Error::Rejected("malformed or missing claims"))?;
    if claims.aud.as_slice().len() > MAX_AUDIENCES {
        return Err(Error::Rejected("more than 16 audiences"));
    }
    Ok(Unverified { header, claims, message, signature })
}

fn check_header(header: &Header) -> Result<(), Error> {
    if !keys::is_supported(&header.alg) {
        return Err(Error::Rejected("algorithm"));
    }
    if header.crit {
        return Err(Error::Rejected("critical extension"));
    }
    let known = |typ: &String| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
    if !header.typ.as_ref().is_none_or(known) {
        return Err(Error::Rejected("type of token"));
    }
    if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
        return Err(Error::Rejected("key id longer than 128 bytes"));
    }
    Ok(())
}

fn part<T: de::DeserializeOwned>(text: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&json).ok()
}

fn is_present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    de::IgnoredAny::deserialize(from).map(|_| true)
}
