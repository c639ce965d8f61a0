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

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/presence-operator")
}

impl Release {
    /// Installs, and returns when the operator is ready. CRDs are those that the cluster has, unless this brings them.
    pub async fn install(place: &Place, more: &[&str]) -> Result<Self> {
        let release = Self { name: "operator".to_owned() };
        release.upgrade(place, more).await?;
        Ok(release)
    }

    /// Installs or upgrades.
    pub async fn upgrade(&self, place: &Place, more: &[&str]) -> Result<String> {
        let image = environment::operator_image()?;
        let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
        let (repository, tag) = (format!("image.repository={repository}"), format!("image.tag={tag}"));
        let chart = chart();
        let mut args = vec!["upgrade", "--install", &self.name, chart.to_str().context("a path is text")?];
        args.extend(["--namespace", &place.namespace, "--wait", "--timeout", "3m"]);
        args.extend(["--set", &repository, "--set", &tag, "--set", "crds.install=false"]);
        args.extend(["--set", "log.level=info\\,presence_operator=debug"]);
        for set in more {
            args.extend(["--set", set]);
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

    pub async fn uninstall(self, place: &Place) -> Result<()> {
        let args = ["uninstall", &self.name, "--namespace", &place.namespace, "--wait", "--timeout", "2m"];
        place.kube.helm(&args).await.map(drop)
    }
}
