//! PostgreSQL, NATS and Redis in a cluster: their namespace, their secrets, and how they are reached. Secrets are made by
//! chance once, and kept nowhere but in the cluster.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::images::Images;
use super::objects;
use crate::cluster::Cluster;
use crate::process;
use crate::workspace::Workspace;

const MANIFESTS: &str = "tests/cluster/backing";
const SECRET: &str = "backing";
const SECRETS: [&str; 3] = ["postgres-password", "presence-password", "redis-password"];
const READY_WITHIN: &str = "--timeout=240s";

/// Applied; `wait` returns when they serve.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) namespace: String,
}

/// Brings them up in a namespace, which is made where it is absent.
pub(crate) fn backing(
    workspace: &Workspace,
    cluster: &Cluster,
    images: &Images,
    namespace: &str,
) -> Result<Backing> {
    objects::apply(cluster, None, &objects::namespace(namespace).to_string())?;
    if !objects::exists(cluster, namespace, "secret", SECRET)? {
        let mut data = serde_json::Map::new();
        for name in SECRETS {
            data.insert(name.to_owned(), random()?.into());
        }
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": data});
        objects::apply(cluster, Some(namespace), &secret.to_string())?;
    }
    for manifest in manifests(workspace)? {
        let text = fs::read_to_string(&manifest).with_context(|| format!("read {}", manifest.display()))?;
        objects::apply(cluster, Some(namespace), &images.fill(&text)?)?;
    }
    Ok(Backing { namespace: namespace.to_owned() })
}

impl Backing {
    pub(crate) fn wait(&self, cluster: &Cluster) -> Result<()> {
        for name in ["postgres", "nats", "redis"] {
            let mut status = cluster.kubectl()?;
            status.args(["--namespace", &self.namespace, "rollout", "status", READY_WITHIN]);
            process::output(status.arg(format!("statefulset/{name}")))?;
        }
        Ok(())
    }

    pub(crate) fn password(&self, cluster: &Cluster, name: &str) -> Result<String> {
        let template = format!("go-template={{{{index .data \"{name}\" | base64decode}}}}");
        let found = self.get(cluster, &["secret", SECRET, "--output", &template])?;
        if found.trim().is_empty() {
            bail!("Secret {SECRET} has no {name}");
        }
        Ok(found.trim().to_owned())
    }

    /// URLs by address: they are the same to pods and to a test in the cluster's network, which asks the host's DNS.
    pub(crate) fn urls(&self, cluster: &Cluster) -> Result<Value> {
        let address = |name| -> Result<String> {
            let said = self.get(cluster, &["service", name, "--output", "jsonpath={.spec.clusterIP}"])?;
            Ok(said.trim().to_owned())
        };
        let (postgres, nats, redis) = (address("postgres")?, address("nats")?, address("redis")?);
        let superuser = self.password(cluster, "postgres-password")?;
        let password = self.password(cluster, "redis-password")?;
        Ok(json!({
            "postgres": format!("postgres://postgres:{superuser}@{postgres}:5432/postgres"),
            "nats": format!("nats://{nats}:4222"),
            "redis": format!("redis://:{password}@{redis}:6379/0"),
        }))
    }

    fn get(&self, cluster: &Cluster, what: &[&str]) -> Result<String> {
        let mut get = cluster.kubectl()?;
        process::output(get.args(["--namespace", &self.namespace, "get"]).args(what))
    }
}

fn manifests(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let folder = workspace.root.join(MANIFESTS);
    let entries = fs::read_dir(&folder).with_context(|| format!("list {MANIFESTS}"))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|it| it == "yaml"));
    found.sort_unstable();
    Ok(found)
}

/// 192 bits, in letters and digits that need no quotes anywhere.
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 24];
    let source = Path::new("/dev/urandom");
    let read = fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.context("read /dev/urandom")?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // to a String: it cannot fail
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_need_no_quotes() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 48);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
