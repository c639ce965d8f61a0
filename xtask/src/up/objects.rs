//! Objects in a cluster, by kubectl: applied, asked after, and shown where something went wrong.

use std::fs;
use std::io::Write as _;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::process;

/// By server-side apply: what is so already is not written, and no Secret is copied into an annotation. The text goes through
/// a file that only its owner can read, never through an argument.
pub(crate) fn apply(cluster: &Cluster, namespace: Option<&str>, manifest: &str) -> Result<()> {
    let mut file =
        tempfile::Builder::new().prefix("presence-").suffix(".yaml").tempfile().context("make a file")?;
    file.write_all(manifest.as_bytes()).context("write a manifest")?;
    let mut command = cluster.kubectl()?;
    command.args(["apply", "--server-side", "--force-conflicts", "--field-manager=presence-xtask"]);
    command.args(namespace.iter().flat_map(|it| ["--namespace", it]));
    process::output(command.arg("--filename").arg(file.path())).map(drop)
}

pub(super) fn exists(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> Result<bool> {
    let mut get = cluster.kubectl()?;
    get.args(["--namespace", namespace, "get", kind, name, "--ignore-not-found", "--output=name"]);
    Ok(!process::output(&mut get)?.trim().is_empty())
}

/// One in which only pods run that ask for no privilege.
pub(crate) fn namespace(name: &str) -> Value {
    let level = |mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".into());
    let labels: serde_json::Map<String, Value> =
        ["enforce", "audit", "warn"].map(level).into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// For whoever has to find out why. What cannot be had is left out: there is an error to be told already.
pub(crate) fn show(cluster: &Cluster, namespace: &str) {
    let looks: [&[&str]; 3] = [
        &["get", "pods", "--output=wide"],
        &["get", "presenceclusters.presence.rs", "--ignore-not-found", "--output", CONDITIONS],
        &["get", "events", "--sort-by=.metadata.creationTimestamp", "--output", EVENTS],
    ];
    for look in looks {
        let Ok(mut kubectl) = cluster.kubectl() else { return };
        let Some(said) = process::probe(kubectl.args(["--namespace", namespace]).args(look)) else {
            continue;
        };
        let lines: Vec<&str> = said.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            println!("  {line}");
        }
    }
}

/// Of each look, the last ones.
const LINES: usize = 20;
const CONDITIONS: &str = "go-template={{range .items}}{{range .status.conditions}}{{.type}}={{.status}} {{.reason}}: {{.message}}\n{{end}}{{end}}";
const EVENTS: &str =
    "custom-columns=KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message";

/// Removes a file or a folder of ours; that it is not there is fine.
pub(super) fn forget(path: &std::path::Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
