//! Everything that tells what happened in a cluster, copied into a folder: logs of components and pods, the audit log,
//! events, and all objects. Of Secrets only names, types and keys.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Cluster;
use crate::process;

const SECRETS: &str = "go-template={{range .items}}{{.metadata.namespace}}/{{.metadata.name}} {{.type}}\
                       {{range $key, $_ := .data}} {{$key}}{{end}}{{\"\\n\"}}{{end}}";

/// Does as much as it can; the error names what it could not.
pub(super) fn dump(cluster: &Cluster, to: &Path) -> Result<()> {
    let mut lost = Vec::new();
    let mut keep = |what: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            lost.push(format!("{what} ({error:#})"));
        }
    };
    keep("logs", copy_tree(&cluster.state.logs(), &to.join("components")));
    for node in cluster.state.folder.join("disks").read_dir().into_iter().flatten().flatten() {
        let pods = node.path().join("log/pods");
        if pods.is_dir() {
            keep("pods' logs", copy_tree(&pods, &to.join("pods").join(node.file_name())));
        }
    }
    keep(
        "events",
        ask(cluster, &["get", "events", "-A", "--sort-by=.lastTimestamp"], &to.join("events.txt")),
    );
    keep("the list of pods", ask(cluster, &["get", "pods", "-A", "--output=wide"], &to.join("pods.txt")));
    keep("nodes", ask(cluster, &["describe", "nodes"], &to.join("nodes.txt")));
    keep("secrets", ask(cluster, &["get", "secrets", "-A", "--output", SECRETS], &to.join("secrets.txt")));
    match kinds(cluster) {
        Ok(kinds) => {
            for kind in kinds {
                let file = to.join("objects").join(format!("{kind}.yaml"));
                keep(&kind, ask(cluster, &["get", &kind, "-A", "--output=yaml"], &file));
            }
        }
        Err(error) => keep("objects", Err(error)),
    }
    if !lost.is_empty() {
        bail!("could not be had: {}", lost.join(", "));
    }
    Ok(())
}

/// All that can be listed, but secrets.
fn kinds(cluster: &Cluster) -> Result<Vec<String>> {
    let all = process::probe(cluster.kubectl()?.args(["api-resources", "--verbs=list", "--output=name"]));
    let all = all.context("list what there is")?;
    let mut kinds: Vec<String> = all.lines().filter(|kind| *kind != "secrets").map(str::to_owned).collect();
    kinds.retain(|kind| !kind.starts_with("events") && kind != "componentstatuses");
    Ok(kinds)
}

fn ask(cluster: &Cluster, args: &[&str], file: &Path) -> Result<()> {
    let mut kubectl = cluster.kubectl()?;
    kubectl.arg("--request-timeout=20s").args(args);
    let said = process::probe(&mut kubectl).context("kubectl failed")?;
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    fs::write(file, said).with_context(|| format!("write {}", file.display()))
}

/// Regular files and folders; links and sockets are left out.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))?.flatten() {
        let (kind, target) = (entry.file_type().context("look at a file")?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_without_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("below")).unwrap();
        fs::write(from.join("below/file"), "text").unwrap();
        std::os::unix::fs::symlink("below/file", from.join("link")).unwrap();
        let to = folder.path().join("to");
        copy_tree(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("below/file")).unwrap(), "text");
        assert!(!to.join("link").exists());
    }
}
