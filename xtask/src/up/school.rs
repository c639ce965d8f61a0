//! What `cargo xtask up` puts into its cluster: the operator, by Helm, and a `PresenceCluster` of three pods with both doors
//! open, named `school`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::backing::{Backing, backing};
use super::images::Images;
use super::issuer::{AUDIENCE, ISSUER, Issuer};
use super::{NAMESPACE, NODE_PORT, objects, step};
use crate::cluster::Cluster;
use crate::process;
use crate::workspace::Workspace;

const CHART: &str = "charts/presence-operator";
const RELEASE: &str = "presence-operator";
const NAME: &str = "school";
const READY_WITHIN: Duration = Duration::from_mins(6);
/// What the operator calls wrong may mend itself, such as a pod that was started before its Secret was known; not for ever.
const WRONG_FOR: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_secs(1);

/// All but the `PresenceCluster`.
pub(super) struct School<'a> {
    cluster: &'a Cluster,
    images: &'a Images,
    backing: Backing,
}

pub(super) fn school<'a>(
    workspace: &Workspace,
    cluster: &'a Cluster,
    images: &'a Images,
) -> Result<School<'a>> {
    let backing = step("PostgreSQL, NATS and Redis", || {
        let backing = backing(workspace, cluster, images, NAMESPACE)?;
        backing.wait(cluster).map(|()| backing)
    })?;
    step("the operator, by Helm", || operator(workspace, cluster, images))?;
    Ok(School { cluster, images, backing })
}

fn operator(workspace: &Workspace, cluster: &Cluster, images: &Images) -> Result<()> {
    let (repository, tag) = parts(images.reference("presence-operator")?)?;
    let mut helm = cluster.helm()?;
    helm.current_dir(&workspace.root).args([
        "upgrade",
        "--install",
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
    ]);
    helm.args(["--set", &format!("image.repository={repository},image.tag={tag}")]);
    process::output(helm.args(["--wait", "--timeout=4m"])).map(drop)
}

impl School<'_> {
    /// Returns when it serves as it is described now, not as it was before.
    pub(super) fn open(&self, issuer: &Issuer) -> Result<()> {
        objects::apply(self.cluster, Some(NAMESPACE), &self.secret(issuer)?.to_string())?;
        objects::apply(self.cluster, Some(NAMESPACE), &self.resource()?.to_string())?;
        step("three pods of presence", || self.wait())
    }

    fn secret(&self, issuer: &Issuer) -> Result<Value> {
        let postgres = self.backing.password(self.cluster, "presence-password")?;
        let redis = self.backing.password(self.cluster, "redis-password")?;
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
            "stringData": {
                "database-url": format!("postgres://presence:{postgres}@postgres:5432/presence"),
                "redis-url": format!("redis://:{redis}@redis:6379/0"),
                "issuer.pem": issuer.public_key,
            },
        }))
    }

    fn resource(&self) -> Result<Value> {
        let (repository, tag) = parts(self.images.reference("presence")?)?;
        let key = |key: &str| json!({"name": NAME, "key": key});
        Ok(json!({
            "apiVersion": "presence.rs/v1alpha1", "kind": "PresenceCluster", "metadata": {"name": NAME},
            "spec": {
                "replicas": 3,
                "image": {"repository": repository, "tag": tag},
                "database": {"urlSecret": key("database-url")},
                "nats": {"urls": ["nats://nats:4222"]},
                "redis": {"urlSecret": key("redis-url")},
                "auth": {"issuers": [{"issuer": ISSUER, "audiences": [AUDIENCE], "keySecret": key("issuer.pem")}]},
                "doors": {"native": {"enabled": true}, "socketio": {"enabled": true}},
                "service": {"type": "NodePort", "port": 80, "nodePort": NODE_PORT},
                "pod": {"resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}},
            },
        }))
    }

    fn wait(&self) -> Result<()> {
        let (started, mut told, mut right) = (Instant::now(), String::new(), Instant::now());
        loop {
            process::check_interrupted()?;
            let seen = self.look()?;
            if seen.ready {
                return Ok(());
            }
            if seen.says != told {
                println!("up:   {}", seen.says);
                told = seen.says;
            }
            if !seen.wrong {
                right = Instant::now();
            }
            if started.elapsed() > READY_WITHIN || right.elapsed() > WRONG_FOR {
                bail!("it is not Ready after {} s: {told}", started.elapsed().as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    fn look(&self) -> Result<Seen> {
        let mut get = self.cluster.kubectl()?;
        get.args(["--namespace", NAMESPACE, "get", "presenceclusters.presence.rs", NAME, "--output=json"]);
        let said = process::output(&mut get)?;
        Ok(Seen::of(&serde_json::from_str(&said).context("understand kubectl")?))
    }
}

/// What a `PresenceCluster` says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ready: bool,
    wrong: bool,
    says: String,
}

impl Seen {
    fn of(it: &Value) -> Self {
        let status = &it["status"];
        if status["observedGeneration"] != it["metadata"]["generation"] {
            return Self { ready: false, wrong: false, says: "the operator has not seen it yet".to_owned() };
        }
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let find = |what: &str| conditions.iter().find(|one| one["type"] == what);
        let is = |what: &str| find(what).is_some_and(|one| one["status"] == "True");
        let wrong = is("Degraded");
        let says = find(if wrong { "Degraded" } else { "Ready" });
        let says = says.map_or_else(String::new, |one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            format!("{}: {}", text("reason"), text("message"))
        });
        // Ready while pods of a former revision still go is ready enough to join, and not what was asked for.
        Self { ready: is("Ready") && !is("Progressing"), wrong, says }
    }
}

fn parts(reference: &str) -> Result<(&str, &str)> {
    reference.rsplit_once(':').context("a reference has a tag")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(observed: i64, conditions: &[(&str, &str)]) -> Seen {
        let condition = |(name, status): &(&str, &str)| json!({"type": name, "status": status, "reason": format!("{name}Is{status}"), "message": "m"});
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        Seen::of(&json!({
            "metadata": {"generation": 2},
            "status": {"observedGeneration": observed, "conditions": conditions},
        }))
    }

    #[test]
    fn ready_is_ready_as_it_is_described_now() {
        let settled = [("Ready", "True"), ("Progressing", "False"), ("Degraded", "False")];
        assert!(seen(2, &settled).ready);
        assert!(!seen(1, &settled).ready);
        assert!(!seen(2, &[("Ready", "True"), ("Progressing", "True")]).ready);
        assert!(!seen(2, &[]).ready);
    }

    #[test]
    fn what_is_wrong_is_said_before_what_is_under_way() {
        assert_eq!(seen(2, &[("Ready", "False"), ("Degraded", "False")]).says, "ReadyIsFalse: m");
        assert_eq!(seen(2, &[("Ready", "False"), ("Degraded", "True")]).says, "DegradedIsTrue: m");
    }

    #[test]
    fn a_reference_is_taken_apart_at_its_tag() {
        assert_eq!(parts("presence.rs/presence:local-1").unwrap(), ("presence.rs/presence", "local-1"));
        assert!(parts("presence").is_err());
    }
}
