//! Whose tokens are trusted, and what they admit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, SecretKey, patterns, rules};

// As many audiences as can be compared with each other within what a rule may cost.
const MOST_ISSUERS: u64 = 16;
const MOST_AUDIENCES: u64 = 12;

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rules::check(
        ".issuers",
        "self.allowHttp || self.issuers.all(i, !has(i.jwksUrl) || i.jwksUrl.startsWith('https://'))",
        "holds a jwksUrl with http://: use https://, or set auth.allowHttp where the network can be trusted",
    ),
    rules::check(
        ".authz.url",
        "self.allowHttp || !has(self.authz.url) || self.authz.url.startsWith('https://')",
        "must be https://, unless auth.allowHttp is set because the network can be trusted",
    ),
    rules::check(
        ".issuers",
        "self.issuers.all(i, i.audiences.all(a, self.issuers.exists_one(j, a in j.audiences)))",
        "holds an audience twice: let one issuer alone speak for it",
    ),
    rules::check(
        ".issuers",
        "self.issuers.all(i, i.audiences.all(a, self.issuers.all(j, j.audiences.all(b, !a.endsWith('.' + b)))))",
        "holds an audience that is the end of another after a dot, so that ids of their agents could be equal: \
            rename one of them",
    ),
]))]
pub struct Auth {
    /// Who signs tokens. No audience may belong to two of them.
    #[schemars(length(min = 1, max = MOST_ISSUERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub issuers: Vec<Issuer>,
    /// What a trusted token admits.
    #[serde(default)]
    pub authz: Authz,
    /// Permits http:// URLs here, to servers in the cluster. What is said to them can be read and changed.
    #[serde(default)]
    pub allow_http: bool,
}

/// Somebody whose tokens are trusted, by keys at a URL or in a Secret.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".jwksUrl",
    "has(self.jwksUrl) != has(self.keySecret)",
    "say where the issuer's keys are: either jwksUrl or keySecret, not both and not neither",
)]))]
pub struct Issuer {
    /// The audiences (`aud`) that it may speak for.
    #[schemars(
        length(min = 1, max = MOST_AUDIENCES),
        inner(length(min = 1, max = 255), regex(pattern = patterns::UNQUOTED)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub audiences: Vec<String>,
    /// What `iss` must be. Without it, `iss` is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    /// Where its public keys are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = patterns::HTTP_URL), transform = rules::address)]
    pub jwks_url: Option<String>,
    /// Holds its public keys: PEM, or JWK or JWKS in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretKey>,
    /// By how much clocks may differ.
    #[serde(default = "leeway")]
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(60)))]
    pub leeway: Period,
}

const fn leeway() -> Period {
    Period::secs(5)
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthzMode {
    /// The classrooms that the token lists.
    #[default]
    Claims,
    /// A service is asked.
    Http,
    /// Any trusted token admits everything.
    Allow,
}

#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rules::check(
        ".url",
        "self.mode != 'Http' || has(self.url)",
        "must be there when auth.authz.mode is Http: the service that is asked",
    ),
    rules::check(
        ".namespace",
        "self.mode != 'Http' || has(self.__namespace__)",
        "must be there when auth.authz.mode is Http: the namespace of our objects at the service",
    ),
    rules::check(
        ".mode",
        "self.mode == 'Http' || !(has(self.url) || has(self.__namespace__) || has(self.tokenSecret))",
        "must be Http where url, namespace or tokenSecret is given: else no service is asked",
    ),
]))]
pub struct Authz {
    /// `Claims`: the classrooms that a token lists; `Http`: the service at `url` decides; `Allow`: any trusted token
    /// admits everything.
    pub mode: AuthzMode,
    /// The service that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = patterns::HTTP_URL), transform = rules::address)]
    pub url: Option<String>,
    /// The namespace of our objects, in what the service is asked. Not one of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub namespace: Option<String>,
    /// Holds the bearer token for the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKey>,
}
