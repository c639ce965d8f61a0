//! What the test driver tells: which binary, which servers. What is needed and missing fails the test, and is named.

use anyhow::{Context, Result};
use std::{env, path::PathBuf};
use url::Url;

fn required(name: &str, what: &str) -> Result<String> {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .with_context(|| format!("{name} must name {what}; `cargo xtask test` sets it"))
}

/// The `presence` binary under test.
pub fn presence() -> Result<PathBuf> {
    let path = PathBuf::from(required("PRESENCE_TEST_BIN", "the presence binary")?);
    anyhow::ensure!(path.is_file(), "PRESENCE_TEST_BIN is {}, and there is no such file", path.display());
    Ok(path)
}

/// A superuser's URL of a PostgreSQL server.
pub fn postgres() -> Result<Url> {
    let text = required("PRESENCE_TEST_POSTGRES", "a PostgreSQL superuser's URL")?;
    text.parse().context("PRESENCE_TEST_POSTGRES is no URL")
}

/// PostgreSQL's own command line client.
pub fn psql() -> Result<PathBuf> {
    postgres_program("psql")
}

/// A program of PostgreSQL's own.
pub fn postgres_program(name: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_PG_BIN", "the folder of PostgreSQL's programs")?).join(name))
}

/// The NATS server's binary, for scenarios that need one of their own.
pub fn nats_server() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_NATS_SERVER", "the nats-server binary")?))
}

/// The URL of a NATS server with JetStream, which tests share.
pub fn nats() -> Result<Url> {
    let text = required("PRESENCE_TEST_NATS", "the URL of a JetStream server")?;
    text.parse().context("PRESENCE_TEST_NATS is no URL")
}

/// The URL of a Redis, which tests share.
pub fn redis() -> Result<Url> {
    let text = required("PRESENCE_TEST_REDIS", "the URL of a Redis")?;
    text.parse().context("PRESENCE_TEST_REDIS is no URL")
}

/// Redis's binary, for scenarios that need one of their own.
pub fn redis_server() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_REDIS_SERVER", "the redis-server binary")?))
}

/// The binary of the reference server.
pub fn reference() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_REFERENCE", "the presence-reference binary")?))
}

/// Node, 20 or later.
pub fn node() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_NODE", "the node binary")?))
}

/// Where the npm packages of `tests/clients/node` are.
pub fn node_modules() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_NODE_MODULES", "a folder of npm packages")?))
}

/// A Python that has the packages of `tests/clients/python`.
pub fn python() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_PYTHON", "a Python with python-socketio")?))
}

/// Who administers the Kubernetes cluster under test.
pub fn kubeconfig() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_KUBECONFIG", "an administrator's kubeconfig")?))
}

pub fn kubectl() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_KUBECTL", "the kubectl binary")?))
}

pub fn helm() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_HELM", "the helm binary")?))
}

/// The API server's audit log. A cluster of somebody's own has none that tests could read.
pub fn audit_log() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_AUDIT_LOG", "the API server's audit log")?))
}

/// The operator's binary, for scenarios that run it outside the cluster.
pub fn operator() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_OPERATOR_BIN", "the presence-operator binary")?))
}

/// The image of the server, as a pod names it.
pub fn image() -> Result<String> {
    required("PRESENCE_TEST_IMAGE", "the image of presence, with its tag")
}

/// The image of the operator, as a pod names it.
pub fn operator_image() -> Result<String> {
    required("PRESENCE_TEST_OPERATOR_IMAGE", "the image of presence-operator, with its tag")
}
