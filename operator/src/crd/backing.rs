//! What presence stands on: PostgreSQL, NATS, Redis, and Mixpanel. Their secrets are named, never written here, and lie
//! in the resource's own namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, patterns, rules};

/// One key of a Secret in this namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::KEY))]
    pub key: String,
}

/// PostgreSQL.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".migrationUrlSecret",
    "self.migrate == 'Auto' || !has(self.migrationUrlSecret)",
    "is of no use when database.migrate is Manual: leave it out, or set migrate to Auto",
)]))]
pub struct Database {
    /// Holds `postgres://user@host:5432/database`, with or without a password.
    pub url_secret: SecretKey,
    /// Holds the password, where the URL has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Holds the certificate authority of the server, in PEM, for `sslmode=verify-full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
    /// Connections of one pod, at most.
    #[serde(default = "max_connections")]
    #[schemars(range(min = 2, max = 1000))]
    pub max_connections: i32,
    /// Who brings the schema up to date before a new revision serves: a Job (`Auto`), or you (`Manual`).
    #[serde(default)]
    pub migrate: Migrate,
    /// Holds the URL that migrations use: of a role that may change the schema. Without it, `urlSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_url_secret: Option<SecretKey>,
}

const fn max_connections() -> i32 {
    10
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Migrate {
    #[default]
    Auto,
    Manual,
}

/// NATS, 2.12 or later, with JetStream.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rules::check(
        ".urls",
        "self.urls.all(u, u.startsWith('tls://')) || self.urls.all(u, u.startsWith('nats://'))",
        "mixes nats:// and tls://: they are servers of one cluster, so use one of both for all",
    ),
    rules::check(
        ".credentialsSecret",
        "(has(self.credentialsSecret) ? 1 : 0) + (has(self.user) ? 1 : 0) + (has(self.tokenSecret) ? 1 : 0) <= 1",
        "one way to log in is enough: keep credentialsSecret, or user with passwordSecret, or tokenSecret",
    ),
    rules::check(
        ".passwordSecret",
        "has(self.user) == has(self.passwordSecret)",
        "user and passwordSecret belong together: give both, or none",
    ),
]))]
pub struct Nats {
    /// The servers: `nats://host:4222`, or `tls://…`. A URL holds no password.
    #[schemars(length(min = 1, max = 16), transform = rules::servers)]
    pub urls: Vec<String>,
    /// Holds a credentials file (JWT and seed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretKey>,
    /// The user that `passwordSecret` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = patterns::USER))]
    pub user: Option<String>,
    /// Holds the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Holds a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKey>,
    /// Holds the certificate authority of the servers, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
    /// The name of a Secret with our own `tls.crt` and `tls.key`, where the servers ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub client_certificate_secret: Option<String>,
    /// The stream of events. It is made where it is absent.
    #[serde(default)]
    pub stream: Stream,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stream {
    /// Its name. One stream belongs to one database. It cannot be changed: while pods of both revisions ran, those of one
    /// would not hear of agents of the other.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = patterns::WORD),
        extend("x-kubernetes-validations" = [rules::check_self(
            "self == oldSelf",
            "cannot be changed, for pods of the old and the new name would not hear each other: make another \
                PresenceCluster and move there",
        )])
    )]
    pub name: String,
    /// Copies of each event.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: i32,
    /// How long an event is kept: how far back an agent can resume.
    #[schemars(transform = rules::within(Period::secs(600), Period::secs(365 * 86_400)))]
    pub max_age: Period,
}

impl Default for Stream {
    fn default() -> Self {
        Self { name: "classroom".to_owned(), replicas: 1, max_age: Period::secs(3600) }
    }
}

/// One Redis, 6 or later; not a cluster of them.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Holds `redis://host:6379/0`, or `rediss://…`.
    pub url_secret: SecretKey,
    /// Holds the password, where the URL has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
    /// Holds the certificate authority of the server, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
    /// What every key begins with, where a site shares its Redis. It cannot be changed: while pods of both revisions ran,
    /// each lesson would have two states.
    #[serde(default)]
    #[schemars(
        length(max = 64),
        regex(pattern = patterns::VISIBLE),
        extend("x-kubernetes-validations" = [rules::check_self(
            "self == oldSelf",
            "cannot be changed, for pods of the old and the new prefix would keep two states of a lesson: take redis \
                out of the spec, wait until it is Ready, and put it back",
        )])
    )]
    pub key_prefix: String,
}

/// Mixpanel.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// The base of the API: `https://api.mixpanel.com`, or that of a proxy.
    #[schemars(length(max = 2048), regex(pattern = patterns::HTTPS_URL), transform = rules::address)]
    pub url: String,
    /// Holds the project's token.
    pub token_secret: SecretKey,
}
