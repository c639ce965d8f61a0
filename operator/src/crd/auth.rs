//! Whose tokens are trusted, and what they admit.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, SecretKey};

#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Who signs tokens. No audience may belong to two of them.
    #[schemars(length(min = 1, max = 64))]
    pub issuers: Vec<Issuer>,
    /// What a trusted token admits.
    #[serde(default)]
    pub authz: Authz,
    /// Permits http:// URLs here, to servers in the cluster. What is said to them can be read and changed.
    #[serde(default)]
    pub allow_http: bool,
}

/// Somebody whose tokens are trusted, by keys at a URL or in a Secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// The audiences (`aud`) that it may speak for.
    #[schemars(length(min = 1, max = 64))]
    pub audiences: Vec<String>,
    /// What `iss` must be. Without it, `iss` is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    /// Where its public keys are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub jwks_url: Option<String>,
    /// Holds its public keys: PEM, or JWK or JWKS in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretKey>,
    /// By how much clocks may differ.
    #[serde(default = "leeway")]
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
pub struct Authz {
    /// `Claims`: the classrooms that a token lists; `Http`: the service at `url` decides; `Allow`: any trusted token
    /// admits everything.
    pub mode: AuthzMode,
    /// The service that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// The namespace of our objects, in what the service is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub namespace: Option<String>,
    /// Holds the bearer token for the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKey>,
}
