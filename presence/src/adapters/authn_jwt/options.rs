//! Whose tokens are trusted, as the operator says it, and what makes that unsafe.

use super::{judge::MAX_LEEWAY_SECONDS, source::LoadError};
use presence_core::ids::Audience;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Someone who signs tokens, for audiences of theirs.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// A token is for exactly one of all issuers' audiences.
    pub audiences: Vec<Audience>,
    /// The `iss` that tokens must carry; `None`: it is not looked at.
    pub issuer: Option<String>,
    pub keys: KeySource,
    /// How far clocks may disagree, in whole seconds: 60 at most.
    pub leeway: Duration,
}

#[derive(Debug, Clone)]
pub enum KeySource {
    /// PEM public keys, JWKs or JWKSs. Read again while running.
    Files(Vec<PathBuf>),
    Jwks(JwksOptions),
}

/// A key set that the issuer publishes.
#[derive(Debug, Clone)]
pub struct JwksOptions {
    pub url: String,
    /// Plain http to elsewhere than loopback: whoever is on the way can then sign anything.
    pub allow_http: bool,
    /// A set older than this is fetched again.
    pub refresh: Duration,
    /// The least time between two fetches for keys that are not in the set.
    pub unknown_key_gap: Duration,
    /// How long the last set counts while the URL is down.
    pub max_age: Duration,
}

impl JwksOptions {
    pub const fn new(url: String) -> Self {
        Self {
            url,
            allow_http: false,
            refresh: Duration::from_mins(5),
            unknown_key_gap: Duration::from_secs(30),
            max_age: Duration::from_hours(24),
        }
    }
}

/// How verified tokens are remembered: a reconnect storm brings the same ones again.
#[derive(Debug, Clone, Copy)]
pub struct TokenCacheOptions {
    /// Tokens remembered; the least recently seen go first.
    pub capacity: usize,
    pub ttl: Duration,
}

impl Default for TokenCacheOptions {
    fn default() -> Self {
        Self { capacity: 10_000, ttl: Duration::from_mins(1) }
    }
}

#[derive(Debug, Clone)]
pub struct JwtOptions {
    pub issuers: Vec<IssuerOptions>,
    pub cache: TokenCacheOptions,
}

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("no issuer is configured, so no token could ever be trusted")]
    NoIssuer,
    #[error("an issuer has no audience")]
    NoAudience,
    #[error("audience `{0}` is configured twice")]
    Twice(Audience),
    #[error(
        "audience `{short}` is the end of audience `{long}`: account `a.{rest}` of the first and account `a` of the \
         second would be the same agent; configure one of them, or run two services"
    )]
    Suffix { short: Audience, long: Audience, rest: String },
    #[error("leeway is {0:?} (60 s at most)")]
    Leeway(Duration),
    #[error(transparent)]
    Keys(#[from] Arc<LoadError>),
}

impl IssuerOptions {
    pub(super) fn leeway_seconds(&self) -> Result<u32, OptionsError> {
        u32::try_from(self.leeway.as_secs())
            .ok()
            .filter(|_| self.leeway <= Duration::from_secs(MAX_LEEWAY_SECONDS.into()))
            .ok_or(OptionsError::Leeway(self.leeway))
    }
}

/// Refuses audiences under which two people could become one agent (`{label}.{account}.{audience}`, and an account
/// may hold dots).
pub(super) fn check_audiences(issuers: &[IssuerOptions]) -> Result<(), OptionsError> {
    if issuers.is_empty() {
        return Err(OptionsError::NoIssuer);
    }
    if issuers.iter().any(|issuer| issuer.audiences.is_empty()) {
        return Err(OptionsError::NoAudience);
    }
    let all: Vec<&Audience> = issuers.iter().flat_map(|issuer| &issuer.audiences).collect();
    for (i, one) in all.iter().enumerate() {
        for (j, other) in all.iter().enumerate().filter(|(j, _)| *j != i) {
            if one == other && i < j {
                return Err(OptionsError::Twice((*one).clone()));
            }
            let rest = other.as_str().strip_suffix(one.as_str());
            if let Some(rest) = rest.and_then(|rest| rest.strip_suffix('.')) {
                return Err(OptionsError::Suffix {
                    short: (*one).clone(),
                    long: (*other).clone(),
                    rest: rest.to_owned(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(audiences: &[&[&str]]) -> Result<(), OptionsError> {
        let issuer = |names: &&[&str]| IssuerOptions {
            audiences: names.iter().map(|name| name.parse().unwrap()).collect(),
            issuer: None,
            keys: KeySource::Files(vec![]),
            leeway: Duration::ZERO,
        };
        check_audiences(&audiences.iter().map(issuer).collect::<Vec<_>>())
    }

    #[test]
    fn audiences_that_cannot_be_confused_are_accepted() {
        check(&[&["school.example", "college.example"], &["exampleschool"]]).unwrap();
        // The end of the name, but not of a whole part of it.
        check(&[&["example", "schoolexample"]]).unwrap();
    }

    #[test]
    fn an_audience_that_ends_another_is_refused_within_and_across_issuers() {
        for audiences in [
            &[&["example", "school.example"][..]][..],
            &[&["school.example"], &["example"]],
            &[&["a.b.c"], &["x", "b.c"]],
        ] {
            let error = check(audiences).unwrap_err();
            assert!(matches!(error, OptionsError::Suffix { .. }), "{audiences:?}");
        }
        let error = check(&[&["example", "school.example"]]).unwrap_err().to_string();
        assert!(error.contains("`a.school`") && error.contains("`example`"), "{error}");
    }

    #[test]
    fn an_issuer_needs_an_audience_of_its_own() {
        assert!(matches!(check(&[]), Err(OptionsError::NoIssuer)));
        assert!(matches!(check(&[&[]]), Err(OptionsError::NoAudience)));
        assert!(matches!(check(&[&["a"], &["a"]]), Err(OptionsError::Twice(_))));
    }

    #[test]
    fn leeway_is_a_minute_at_most() {
        let mut issuer = IssuerOptions {
            audiences: vec![],
            issuer: None,
            keys: KeySource::Files(vec![]),
            leeway: Duration::from_mins(1),
        };
        assert_eq!(issuer.leeway_seconds().unwrap(), 60);
        issuer.leeway = Duration::from_millis(60_001);
        assert!(issuer.leeway_seconds().is_err());
    }
}
