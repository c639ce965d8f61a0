//! `store`, `bus`, `redis`, `analytics`: what presence stands on.

use serde::Serialize;

use super::super::mounts::Mounts;
use crate::crd::{self, Database, Nats, Period, SecretKey};

#[derive(Serialize)]
pub(super) struct Store {
    url_file: String,
    password_file: Option<String>,
    tls_ca_file: Option<String>,
    max_connections: i32,
}

pub(super) fn store(of: &Database, mounts: &mut Mounts) -> Store {
    Store {
        url_file: mounts.file(&of.url_secret, "database-url"),
        password_file: mounts.optional(of.password_secret.as_ref(), "database-password"),
        tls_ca_file: mounts.optional(of.ca_secret.as_ref(), "database-ca.pem"),
        max_connections: of.max_connections,
    }
}

#[derive(Serialize)]
pub(super) struct Bus {
    url: String,
    stream: String,
    replicas: i32,
    max_age: Period,
    credentials_file: Option<String>,
    user: Option<String>,
    password_file: Option<String>,
    token_file: Option<String>,
    tls_ca_file: Option<String>,
    tls_cert_file: Option<String>,
    tls_key_file: Option<String>,
}

pub(super) fn bus(of: &Nats, mounts: &mut Mounts) -> Bus {
    let own = |key: &str| {
        let name = of.client_certificate_secret.clone()?;
        Some(SecretKey { name, key: key.to_owned() })
    };
    Bus {
        url: of.urls.join(","),
        stream: of.stream.name.clone(),
        replicas: of.stream.replicas,
        max_age: of.stream.max_age,
        credentials_file: mounts.optional(of.credentials_secret.as_ref(), "nats.creds"),
        user: of.user.clone(),
        password_file: mounts.optional(of.password_secret.as_ref(), "nats-password"),
        token_file: mounts.optional(of.token_secret.as_ref(), "nats-token"),
        tls_ca_file: mounts.optional(of.ca_secret.as_ref(), "nats-ca.pem"),
        tls_cert_file: mounts.optional(own("tls.crt").as_ref(), "nats-tls.crt"),
        tls_key_file: mounts.optional(own("tls.key").as_ref(), "nats-tls.key"),
    }
}

#[derive(Serialize)]
pub(super) struct Redis {
    url_file: String,
    password_file: Option<String>,
    tls_ca_file: Option<String>,
    key_prefix: String,
}

pub(super) fn redis(of: &crd::Redis, mounts: &mut Mounts) -> Redis {
    Redis {
        url_file: mounts.file(&of.url_secret, "redis-url"),
        password_file: mounts.optional(of.password_secret.as_ref(), "redis-password"),
        tls_ca_file: mounts.optional(of.ca_secret.as_ref(), "redis-ca.pem"),
        key_prefix: of.key_prefix.clone(),
    }
}

#[derive(Serialize)]
pub(super) struct Analytics {
    url: String,
    token_file: String,
}

pub(super) fn analytics(of: &crd::Analytics, mounts: &mut Mounts) -> Analytics {
    Analytics { url: of.url.clone(), token_file: mounts.file(&of.token_secret, "analytics-token") }
}
