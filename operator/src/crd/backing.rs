//! What presence stands on: PostgreSQL, NATS, Redis, and Mixpanel. Their secrets are named, never written here, and lie
//! in the resource's own namespace.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// One key of a Secret in this namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// PostgreSQL.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nats {
    /// The servers: `nats://host:4222`, or `tls://…`. A URL holds no password.
    #[schemars(length(min = 1, max = 16))]
    pub urls: Vec<String>,
    /// Holds a credentials file (JWT and seed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretKey>,
    /// The user that `passwordSecret` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub client_certificate_secret: Option<String>,
    /// The stream of events. It is made where it is absent.
    #[serde(default)]
    pub stream: Stream,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stream {
    /// Its name. One stream belongs to one database.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[-_a-zA-Z0-9]+$"))]
    pub name: String,
    /// Copies of each event.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: i32,
    /// How long an event is kept: how far back an agent can resume.
    pub max_age: Period,
}

impl Default for Stream {
    fn default() -> Self {
        Self { name: "classroom".to_owned(), replicas: 1, max_age: Period::secs(3600) }
    }
}

/// One Redis, 6 or later; not a cluster of them.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What every key begins with, where a site shares its Redis.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub key_prefix: String,
}

/// Mixpanel.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// The base of the API: `https://api.mixpanel.com`, or that of a proxy.
    #[schemars(length(max = 2048), regex(pattern = "^https://"))]
    pub url: String,
    /// Holds the project's token.
    pub token_secret: SecretKey,
}
