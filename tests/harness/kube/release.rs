//! The operator, installed by Helm as a platform team would.

use super::{Kind, Place};
use crate::environment;
use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use std::path::{Path, PathBuf};

/// A release in a place: namespaced, and it looks after that place alone.
#[derive(Debug)]
pub struct Release {
    pub name: String,
}

/// The chart under test.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/presence-operator")
}

impl Release {
    /// Installs, and returns when the operator is ready. CRDs are those that the cluster has, unless this brings them.
    pub async fn install(place: &Place, more: &[&str]) -> Result<Self> {
        let release = Self { name: "operator".to_owned() };
        release.upgrade(place, more).await?;
        Ok(release)
    }

    /// Installs or upgrades. `more` are values, or flags of helm's.
    pub async fn upgrade(&self, place: &Place, more: &[&str]) -> Result<String> {
        let image = environment::operator_image()?;
        let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
        let (repository, tag) = (format!("image.repository={repository}"), format!("image.tag={tag}"));
        let chart = chart();
        let mut args = vec!["upgrade", "--install", &self.name, chart.to_str().context("a path is text")?];
        args.extend(["--namespace", &place.namespace, "--wait", "--timeout", "3m"]);
        args.extend(["--set", &repository, "--set", &tag, "--set", "crds.install=false"]);
        // As a namespace is given: small, since several run on few cores.
        args.extend(["--set", "resources.requests.cpu=10m"]);
        for flag in more {
            match flag.strip_prefix("--") {
                Some(_) => args.push(flag),
                None => args.extend(["--set", flag]),
            }
        }
        place.kube.helm(&args).await
    }

    /// The operator's pods.
    pub async fn pods(&self, place: &Place) -> Result<Vec<String>> {
        let labels =
            format!("app.kubernetes.io/name=presence-operator,app.kubernetes.io/instance={}", self.name);
        let pods = place.list(Kind::Pod, &labels).await?;
        let live = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let pods: Vec<String> = live.map(ResourceExt::name_any).collect();
        ensure!(!pods.is_empty(), "no operator runs");
        Ok(pods)
    }

    /// Who its operator is to the API server.
    pub fn user(&self, place: &Place) -> String {
        format!("system:serviceaccount:{}:{}-presence-operator", place.namespace, self.name)
    }

    /// Kind, name and version of each object of the release.
    pub async fn versions(&self, place: &Place) -> Result<Vec<(String, String, String)>> {
        let manifest = ["get", "manifest", &self.name, "--namespace", &place.namespace];
        let manifest = place.kube.helm(&manifest).await?;
        let get = ["get", "-n", &place.namespace, "-f", "-", "-o", "json"];
        let (ok, said) = place.kube.kubectl_with(&get, &manifest).await?;
        ensure!(ok, "kubectl get of the release: {said}");
        let said: serde_json::Value = serde_json::from_str(&said).context("understand kubectl")?;
        let items = said["items"].as_array().context("kubectl lists")?;
        let text = |item: &serde_json::Value, at: &str| {
            item.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let version = |item| {
            let meta = ["/kind", "/metadata/name", "/metadata/resourceVersion"];
            meta.map(|at| text(item, at)).into()
        };
        Ok(items.iter().map(version).collect())
    }

    pub async fn uninstall(self, place: &Place) -> Result<()> {
        let args = ["uninstall", &self.name, "--namespace", &place.namespace, "--wait", "--timeout", "2m"];
        place.kube.helm(&args).await.map(drop)
    }
}
