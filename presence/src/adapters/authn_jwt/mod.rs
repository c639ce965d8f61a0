//! The `Authn` port by JSON Web Tokens, signed with ES256, RS256 or `EdDSA`.
//!
//! A token goes `token` (taken apart) → the issuer of its audience → `judge` (do its claims hold now) → `keyring` and
//! `keys` (is it signed with a key of that issuer, by that key's algorithm). Only a token that passed all of them is
//! an identity, and is remembered for a minute. `jsonwebtoken` verifies and signs; its `Validation` is not used,
//! because its time is the system's and not the Clock port's. The token's text is kept nowhere.

mod embedded;
mod judge;
mod keyring;
mod keys;
mod options;
mod remembered;
mod source;
mod token;

pub use embedded::{EMBEDDED_ISSUER, EmbeddedKey, Error as EmbeddedError, MintRequest};
pub use judge::MAX_LEEWAY_SECONDS;
pub use keys::KeyError;
pub use options::{IssuerOptions, JwksOptions, JwtOptions, KeySource, OptionsError, TokenCacheOptions};
pub use source::LoadError;

use crate::ports::{
    authn::{Authn, Error, Identity, MAX_TOKEN_BYTES},
    clock::Clock,
};
use async_trait::async_trait;
use judge::Rules;
use keyring::{Keyring, Pace, millis};
use keys::{Key, KeySet};
use presence_core::ids::Audience;
use remembered::{Print, Remembered};
use source::{JwksUrl, Source};
use std::{collections::HashMap, sync::Arc};
use token::{Audiences, Unverified};

/// A changed key file counts within a minute, and at once (but every 10 s at most) for a token that needs it.
const FILES_PACE: Pace = Pace { refresh: 60_000, gap: 10_000, max_age: u64::MAX };

/// Trusts tokens of configured issuers, or of the embedded one.
#[derive(Debug)]
pub struct JwtAuthn {
    issuers: Issuers,
    cache: Remembered,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Issuer {
    rules: Rules,
    keys: Arc<Keyring>,
}

#[derive(Debug)]
enum Issuers {
    /// Each audience is one issuer's.
    Configured(HashMap<Audience, Arc<Issuer>>),
    /// One issuer for whatever audience it names. It must be the only one of the process: beside another, two
    /// audiences could end alike, which `options::check_audiences` guards against.
    Embedded(Issuer),
}

impl JwtAuthn {
    /// Fails where a key file cannot be used. A key set's URL that does not answer is no failure: tokens are
    /// `Unavailable` until it does.
    pub async fn new(options: &JwtOptions, clock: Arc<dyn Clock>) -> Result<Self, OptionsError> {
        options::check_audiences(&options.issuers)?;
        let mut by_audience = HashMap::new();
        for issuer in &options.issuers {
            let rules = Rules { issuer: issuer.issuer.clone(), leeway: issuer.leeway_seconds()? };
            let keys = keyring(&issuer.keys, &clock).await?;
            let made = Arc::new(Issuer { rules, keys });
            let audiences = issuer.audiences.iter().cloned();
            by_audience.extend(audiences.map(|audience| (audience, Arc::clone(&made))));
        }
        Ok(Self { issuers: Issuers::Configured(by_audience), cache: Remembered::new(options.cache), clock })
    }

    /// Trusts tokens that `key` minted, for any audience, and no other.
    pub fn embedded(key: &EmbeddedKey, cache: TokenCacheOptions, clock: Arc<dyn Clock>) -> Self {
        let issuer = Issuer {
            rules: Rules {
                issuer: Some(EMBEDDED_ISSUER.to_owned()),
                // Minted on one machine, perhaps, and verified on the next.
                leeway: 5,
            },
            keys: Arc::new(Keyring::fixed(key.key_set(), Arc::clone(&clock))),
        };
        Self { issuers: Issuers::Embedded(issuer), cache: Remembered::new(cache), clock }
    }

    async fn verify(&self, token: &str) -> Result<(Identity, Arc<Keyring>, Arc<KeySet>), Error> {
        let unverified = token::parse(token)?;
        let (issuer, audience) = self.issuers.of(&unverified.claims.aud)?;
        // Before the signature: what has expired should cause no work, and no fetch.
        let identity = judge::judge(&unverified.claims, &audience, &issuer.rules, self.clock.wall())?;
        let keys = issuer.check_signature(&unverified).await?;
        Ok((identity, Arc::clone(&issuer.keys), keys))
    }
}

#[async_trait]
impl Authn for JwtAuthn {
    async fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::Rejected("longer than 8 KiB"));
        }
        let print = Print::of(token);
        if let Some(identity) = self.cache.recall(&print, &*self.clock) {
            return Ok(identity);
        }
        let (identity, ring, keys) = self.verify(token).await?;
        self.cache.remember(print, &identity, (ring, keys), &*self.clock);
        Ok(identity)
    }
}

impl Issuers {
    /// Whose token it is, by what it says it is for.
    fn of(&self, claimed: &Audiences) -> Result<(&Issuer, Audience), Error> {
        let mut claimed: Vec<&str> = claimed.as_slice().iter().map(String::as_str).collect();
        claimed.sort_unstable();
        claimed.dedup();
        match self {
            Self::Configured(issuers) => {
                let known = |text: &str| {
                    let audience: Audience = text.parse().ok()?;
                    let issuer = issuers.get(&audience)?;
                    Some((&**issuer, audience))
                };
                let mut matches = claimed.into_iter().filter_map(known);
                let first = matches.next().ok_or(Error::Rejected("unknown audience"))?;
                match matches.next() {
                    None => Ok(first),
                    Some(_) => Err(Error::Rejected("ambiguous audience")),
                }
            }
            Self::Embedded(issuer) => match claimed[..] {
                [audience] => {
                    let audience = audience.parse().map_err(|_| Error::Rejected("unknown audience"))?;
                    Ok((issuer, audience))
                }
                [] => Err(Error::Rejected("unknown audience")),
                _ => Err(Error::Rejected("ambiguous audience")),
            },
        }
    }
}

impl Issuer {
    /// The keys among which the token's was found.
    async fn check_signature(&self, token: &Unverified<'_>) -> Result<Arc<KeySet>, Error> {
        let keys = self.keys.current().await.ok_or(Error::Unavailable)?;
        match signed_by(&keys, token) {
            Ok(()) => Ok(keys),
            Err(Unsigned::Final(error)) => Err(error),
            Err(Unsigned::Perhaps(error)) => match self.keys.newer_than(&keys).await {
                None => Err(error),
                Some(newer) => match signed_by(&newer, token) {
                    Ok(()) => Ok(newer),
                    Err(Unsigned::Final(error) | Unsigned::Perhaps(error)) => Err(error),
                },
            },
        }
    }
}

/// Why no key of a set has signed a token.
enum Unsigned {
    /// Newer keys would change nothing.
    Final(Error),
    /// The issuer may have a key that the set lacks.
    Perhaps(Error),
}

fn signed_by(keys: &KeySet, token: &Unverified<'_>) -> Result<(), Unsigned> {
    let kid = token.header.kid.as_deref();
    let candidates = keys.candidates(kid, &token.header.alg);
    let is_signed = |key: &&Key| {
        let message = token.message.as_bytes();
        jsonwebtoken::crypto::verify(token.signature, message, &key.decoding, key.algorithm).unwrap_or(false)
    };
    let reason = match (candidates.known, candidates.keys.is_empty()) {
        (false, _) => "unknown key",
        (true, true) => "algorithm",
        (true, false) if candidates.keys.iter().any(is_signed) => return Ok(()),
        (true, false) => "signature",
    };
    // The very key it names is there and has not signed it: a forgery, not a rotation.
    let verdict = if candidates.named { Unsigned::Final } else { Unsigned::Perhaps };
    Err(verdict(Error::Rejected(reason)))
}

async fn keyring(source: &KeySource, clock: &Arc<dyn Clock>) -> Result<Arc<Keyring>, OptionsError> {
    match source {
        KeySource::Files(paths) => {
            let ring = Keyring::new(Source::Files(paths.clone()), FILES_PACE, Arc::clone(clock));
            ring.read_now().await?;
            Ok(Arc::new(ring))
        }
        KeySource::Jwks(options) => {
            let pace = Pace {
                refresh: millis(options.refresh),
                gap: millis(options.unknown_key_gap),
                max_age: millis(options.max_age),
            };
            let url = JwksUrl::new(options).map_err(Arc::new)?;
            Ok(Arc::new(Keyring::new(Source::Jwks(url), pace, Arc::clone(clock))))
        }
    }
}
