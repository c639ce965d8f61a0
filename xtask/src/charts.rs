//! The chart: what `cargo xtask check` holds of it, and how it is rendered. What linters say of it is in `charts/lint.rs`, that
//! its values are described in `charts/values.rs`.

mod lint;
mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{process, tools};

pub(crate) use lint::lint;

const CHART: &str = "charts/presence-operator";
/// Values that it is rendered with, a file each.
const VALUES: &str = "charts/lint/values";
const NAMESPACE: &str = "presence-system";

/// Files of the chart that are copies, since Helm reads nothing outside a chart, and of what. That of the CRD is generated.
const COPIES: &[(&str, &str)] = &[("operator/src/rights.json", "files/rights.json")];

/// Values that the chart must refuse, and a word that the refusal must have.
const REFUSED: &[(&str, &str)] = &[
    ("watchNamespaces={a},clusterWide=true", "watchNamespaces"),
    ("rbac.secretNames={a}", "rbac.presenceClusters"),
    ("serviceAccount.create=false", "serviceAccount.name"),
    ("replicas=-1", "replicas"),
    ("log.format=yaml", "format"),
    ("image.digest=latest", "digest"),
    ("watchNamespaces={A_B}", "watchNamespaces"),
    ("unknown=1", "unknown"),
];

/// What must hold before a merge. Quick, once Helm is built.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut wrong = copies(workspace)?;
    wrong.extend(versions(workspace)?);
    wrong.extend(values::check(workspace)?);
    let helm = tools::helm::ensure()?;
    wrong.extend(lints(workspace, &helm));
    wrong.extend(refusals(workspace, &helm));
    for values in values_files(workspace)? {
        wrong.extend(rendered(workspace, &helm, &values)?);
    }
    for one in &wrong {
        println!("  error: {one}");
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{} thing(s) wrong with the chart", wrong.len()) }
}

/// `cargo xtask lint`: what a merge asks for first.
pub(crate) fn run_lint(workspace: &Workspace) -> Result<ExitCode> {
    check(workspace)?;
    let tally = lint(workspace)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(workspace: &Workspace, path: &str) -> Result<String> {
    std::fs::read_to_string(workspace.root.join(path)).with_context(|| format!("read {path}"))
}

fn copies(workspace: &Workspace) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (of, copy) in COPIES {
        if read(workspace, of)? != read(workspace, &format!("{CHART}/{copy}"))? {
            wrong.push(format!("{CHART}/{copy} is not as {of}: copy it"));
        }
    }
    Ok(wrong)
}

/// The chart, the operator and the images of examples are of one release.
fn versions(workspace: &Workspace) -> Result<Vec<String>> {
    let packages = workspace.metadata["packages"].as_array();
    let operator = packages.into_iter().flatten().find(|package| package["name"] == "presence-operator");
    let version =
        operator.and_then(|package| package["version"].as_str()).context("the operator has a version")?;
    let mut wrong = Vec::new();
    let mut want = |path: &str, text: &str, line: String| {
        if !text.lines().any(|found| found.trim() == line) {
            wrong.push(format!("{path} has no line `{line}`"));
        }
    };
    let path = format!("{CHART}/Chart.yaml");
    let chart = read(workspace, &path)?;
    want(&path, &chart, format!("version: {version}"));
    want(&path, &chart, format!("appVersion: {version}"));
    for example in clusters(workspace)? {
        want(&example, &read(workspace, &example)?, format!("tag: {version}"));
    }
    Ok(wrong)
}

/// Files of a folder that end so, in order, relative to the clone.
fn files(workspace: &Workspace, folder: &str, end: &str) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(workspace.root.join(folder)).with_context(|| format!("list {folder}"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> =
        names.filter(|name| name.ends_with(end)).map(|name| format!("{folder}/{name}")).collect();
    found.sort_unstable();
    if found.is_empty() {
        bail!("{folder} has no file that ends in {end}");
    }
    Ok(found)
}

fn values_files(workspace: &Workspace) -> Result<Vec<String>> {
    files(workspace, VALUES, ".yaml")
}

/// The examples that are a `PresenceCluster`.
fn clusters(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files(workspace, "examples", ".yaml")? {
        if read(workspace, &path)?.contains("\nkind: PresenceCluster\n") {
            found.push(path);
        }
    }
    Ok(found)
}

fn lints(workspace: &Workspace, helm: &Path) -> Option<String> {
    let mut command = Command::new(helm);
    command.current_dir(&workspace.root).args(["lint", "--strict", "--quiet", CHART]);
    process::run(&mut command).err().map(|error| format!("{error:#}"))
}

/// Helm, told to render the chart.
fn template(workspace: &Workspace, helm: &Path) -> Command {
    let mut command = Command::new(helm);
    command.current_dir(&workspace.root).args(["template", "presence-operator", CHART]);
    command.args(["--namespace", NAMESPACE, "--kube-version", "1.34.0"]);
    command
}

fn refusals(workspace: &Workspace, helm: &Path) -> Vec<String> {
    let refused = |(set, word): &(&str, &str)| {
        let outcome = template(workspace, helm).args(["--set", set]).output();
        let said = outcome.as_ref().map(|it| String::from_utf8_lossy(&it.stderr).into_owned());
        let good =
            outcome.as_ref().is_ok_and(|it| !it.status.success()) && said.is_ok_and(|it| it.contains(word));
        (!good).then(|| format!("values `{set}` are not refused with a word about `{word}`"))
    };
    REFUSED.iter().filter_map(refused).collect()
}

/// The chart with these values, as a file to look at.
fn render(workspace: &Workspace, helm: &Path, values: &str) -> Result<PathBuf> {
    let name = Path::new(values).file_name().context("values have a name")?;
    let to = folder(workspace)?.join(name);
    let text = process::output(template(workspace, helm).args(["--values", values]))?;
    std::fs::write(&to, text).with_context(|| format!("write {}", to.display()))?;
    Ok(to)
}

fn folder(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("charts");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// What no values may change.
fn rendered(workspace: &Workspace, helm: &Path, values: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(render(workspace, helm, values)?)?;
    let again = std::fs::read_to_string(render(workspace, helm, values)?)?;
    let mut found = faults(&text, read(workspace, values)?.contains("clusterWide: true"));
    if text != again {
        found.push(
            "it is rendered anew each time, so that an upgrade without a change would change something",
        );
    }
    Ok(found.into_iter().map(|fault| format!("with {values}: {fault}")).collect())
}

fn faults(text: &str, cluster_wide: bool) -> Vec<&'static str> {
    let has = |line: &str| text.lines().any(|found| found == line);
    let mut faults = Vec::new();
    let cluster_roles = has("kind: ClusterRole") || has("kind: ClusterRoleBinding");
    if cluster_roles != cluster_wide {
        faults.push("ClusterRoles are for clusterWide, and only for it");
    }
    if text.lines().any(|line| line.contains("\"*\"")) {
        faults.push("it grants a wildcard");
    }
    if !has("kind: Deployment") || !has("kind: Role") {
        faults.push("it has no Deployment or no Role");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_roles_are_only_for_the_cluster() {
        let namespaced = "kind: Deployment\nkind: Role\n";
        let wide = format!("{namespaced}kind: ClusterRole\n");
        assert!(faults(namespaced, false).is_empty());
        assert!(faults(&wide, true).is_empty());
        assert_eq!(faults(&wide, false).len(), 1);
        assert_eq!(faults(namespaced, true).len(), 1);
        assert_eq!(faults("kind: Deployment", false).len(), 1);
    }

    #[test]
    fn wildcards_are_seen() {
        let text = "kind: Deployment\nkind: Role\n  verbs: [\"*\"]\n";
        assert_eq!(faults(text, false), ["it grants a wildcard"]);
    }
}
