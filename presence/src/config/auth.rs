//! `auth`: whose tokens are trusted, and what they admit.

use super::{
    Report,
    text::{HttpUrl, Period},
};
use presence_core::ids::Audience;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, path::PathBuf};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Who signs tokens. When empty: the key that the server made for itself in `data_dir`, which `presence token`
    /// uses too. In the environment: a list in JSON.
    #[schemars(example = serde_json::json!([{"audience": ["school.example"], "key_files": ["/etc/presence/school.pem"]}]))]
    pub issuers: Vec<Issuer>,
    /// Permits http:// URLs of other machines in this section. What is said to them can be read and changed.
    pub allow_http: bool,
    /// What a trusted token admits.
    pub authz: Authz,
}

/// Somebody whose tokens are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The audiences (`aud`) that it may speak for.
    #[schemars(with = "Vec<String>", length(min = 1), example = ["school.example"])]
    pub audience: Vec<Audience>,
    /// What `iss` must be. Without it, `iss` is not looked at.
    #[serde(default)]
    #[schemars(example = "https://id.school.example")]
    pub issuer: Option<String>,
    /// Public keys: PEM, or JWK or JWKS in JSON.
    #[serde(default)]
    #[schemars(example = ["/etc/presence/school.pem"])]
    pub key_files: Vec<PathBuf>,
    /// Where its public keys are published, instead of `key_files`.
    #[serde(default)]
    #[schemars(example = "https://id.school.example/.well-known/jwks.json")]
    pub jwks_url: Option<HttpUrl>,
    /// By how much clocks may differ.
    #[serde(default = "leeway")]
    pub leeway: Period,
}

const fn leeway() -> Period {
    Period::secs(5)
}

/// How it is decided what a token admits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthzMode {
    /// Any trusted token admits everything.
    Allow,
    /// The classrooms that the token lists.
    #[default]
    Claims,
    /// A service is asked.
    Http,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authz {
    /// `claims`: the classrooms that a token lists; `http`: the service at `url` decides; `allow`: any trusted token
    /// admits everything.
    pub mode: AuthzMode,
    /// The service that is asked.
    #[schemars(example = "https://authz.example/api/v1/authz/school.example")]
    pub url: Option<HttpUrl>,
    /// The namespace of our objects, in what the service is asked.
    #[schemars(example = "presence.example")]
    pub namespace: Option<String>,
    /// A file that holds the bearer token for the service.
    #[schemars(example = "/run/secrets/presence-authz-token")]
    pub token_file: Option<PathBuf>,
    /// How long to wait for the service.
    pub timeout: Period,
    /// Answers remembered, at most.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cache_entries: u32,
    /// How long a yes is remembered.
    pub cache_allow: Period,
    /// How long a no is remembered.
    pub cache_deny: Period,
}

impl Default for Authz {
    fn default() -> Self {
        Self {
            mode: AuthzMode::Claims,
            url: None,
            namespace: None,
            token_file: None,
            timeout: Period::secs(5),
            cache_entries: 10_000,
            cache_allow: Period::secs(30),
            cache_deny: Period::secs(5),
        }
    }
}

impl Auth {
    /// Whether the server's own key signs the tokens.
    pub fn is_embedded(&self) -> bool {
        self.issuers.is_empty()
    }

    pub(super) fn check(&self, report: &mut Report) {
        let mut audiences = HashSet::new();
        for (index, issuer) in self.issuers.iter().enumerate() {
            let key = |name: &str| format!("auth.issuers[{index}].{name}");
            issuer.check(&key, self.allow_http, report);
            if issuer.audience.iter().any(|audience| !audiences.insert(audience)) {
                report.bad(&key("audience"), "an audience that another issuer has, or twice the same");
            }
        }
        self.authz.check(self.allow_http, report);
    }
}

impl Issuer {
    fn check(&self, key: &dyn Fn(&str) -> String, allow_http: bool, report: &mut Report) {
        if self.audience.is_empty() {
            report.bad(&key("audience"), "empty: tokens of no audience would be trusted");
        }
        if self.key_files.is_empty() == self.jwks_url.is_none() {
            report.bad(&key("key_files"), "either key_files or jwks_url, not both and not neither");
        }
        if self.leeway > Period::secs(60) {
            report.bad(&key("leeway"), "longer than 60s");
        }
        if self.jwks_url.as_ref().is_some_and(|url| !allow_http && !url.is_private()) {
            report.bad(&key("jwks_url"), UNPROTECTED);
        }
    }
}

const UNPROTECTED: &str = "http:// to another machine, and auth.allow_http is not set";

impl Authz {
    fn check(&self, allow_http: bool, report: &mut Report) {
        let asked = self.mode == AuthzMode::Http;
        if asked && self.url.is_none() {
            report.bad("auth.authz.url", "required, because auth.authz.mode is http");
        }
        if asked && self.namespace.is_none() {
            report.bad("auth.authz.namespace", "required, because auth.authz.mode is http");
        }
        if !asked && self.url.is_some() {
            report.bad("auth.authz.url", "nobody is asked, because auth.authz.mode is not http");
        }
        if self.url.as_ref().is_some_and(|url| !allow_http && !url.is_private()) {
            report.bad("auth.authz.url", UNPROTECTED);
        }
        if !(Period::millis(100)..=Period::secs(30)).contains(&self.timeout) {
            report.bad("auth.authz.timeout", "not between 100ms and 30s");
        }
        for (key, period) in
            [("auth.authz.cache_allow", self.cache_allow), ("auth.authz.cache_deny", self.cache_deny)]
        {
            if period > Period::secs(600) {
                report.bad(key, "longer than 10m: a withdrawn right would live on");
            }
        }
    }
}
