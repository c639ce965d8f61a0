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

/// What somebody's own cluster lacks.
fn of_our_cluster(name: &str, what: &str) -> Result<String> {
    env::var(name).ok().filter(|value| !value.is_empty()).with_context(|| {
        format!(
            "this needs {what} ({name}): a cluster that `cargo xtask` makes has it, one of your own has not"
        )
    })
}

/// The `presence` binary under test.
pub fn presence() -> Result<PathBuf> {
    let path = PathBuf::from(required("PRESENCE_TEST_BIN", "the presence binary")?);
    anyhow::ensure!(path.is_file(), "PRESENCE_TEST_BIN is {}, and there is no such file", path.display());
    Ok(path)
}

/// A superuser's URL of a PostgreSQL server.
pub fn postgres() -> Result<Url> {
    server("PRESENCE_TEST_POSTGRES", "postgres", "a PostgreSQL superuser's URL")
}

/// A server by a variable of its own, or, beside a Kubernetes, by its name among those that pods reach as well.
fn server(name: &str, of_pods: &str, what: &str) -> Result<Url> {
    let text = match env::var("PRESENCE_TEST_BACKING") {
        Ok(backing) if !backing.is_empty() => {
            let all: serde_json::Value =
                serde_json::from_str(&backing).context("PRESENCE_TEST_BACKING is no JSON")?;
            let found = all[of_pods].as_str();
            found.with_context(|| format!("PRESENCE_TEST_BACKING has no {of_pods}: {what}"))?.to_owned()
        }
        _ => required(name, what)?,
    };
    // What does not parse may hold a password.
    text.parse().with_context(|| format!("{name} is no URL"))
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
    server("PRESENCE_TEST_NATS", "nats", "the URL of a JetStream server")
}

/// The URL of a Redis, which tests share.
pub fn redis() -> Result<Url> {
    server("PRESENCE_TEST_REDIS", "redis", "the URL of a Redis")
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

/// A folder of definitions of kinds that others own.
pub fn crds() -> Result<PathBuf> {
    Ok(PathBuf::from(required("PRESENCE_TEST_CRDS", "a folder of CustomResourceDefinitions")?))
}

/// The API server's audit log. A cluster of somebody's own has none that tests could read.
pub fn audit_log() -> Result<PathBuf> {
    Ok(PathBuf::from(of_our_cluster("PRESENCE_TEST_AUDIT_LOG", "the API server's audit log")?))
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

/// What can take a node's power: `xtask`, and which cluster of its own it is. Somebody's own cluster has neither.
pub fn testbed() -> Result<(PathBuf, String)> {
    let xtask = required("PRESENCE_TEST_XTASK", "xtask's own binary")?;
    Ok((PathBuf::from(xtask), of_our_cluster("PRESENCE_TEST_CLUSTER", "power over its nodes")?))
}
