//! What a test cluster is made of: Kubernetes, `CoreDNS`, kubectl, the pause program, `machines` and `policies`, built from
//! the Go module `tests/cluster/testbed/`; images of two of them; containerd and the network's tools from Debian.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, tools};

const MODULE: &str = "tests/cluster/testbed";

/// References of the images that every node has from the start.
pub(crate) const PAUSE_IMAGE: &str = "presence.test/pause:testbed";
pub(crate) const COREDNS_IMAGE: &str = "presence.test/coredns:testbed";

/// All of it, made sure of. Paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    /// etcd and everything of Kubernetes, by its first argument.
    pub(crate) components: PathBuf,
    pub(crate) machines: PathBuf,
    /// What makes NetworkPolicies count: a node's service and its CNI plugin.
    pub(crate) policies: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// Archives that every node imports.
    pub(crate) images: Vec<PathBuf>,
    pub(crate) containerd: PathBuf,
    pub(crate) ctr: PathBuf,
}

impl Kubernetes {
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let containerd = tools::apt::containerd()?;
        let ldflags = ldflags(workspace)?;
        let program = |name| tools::go::program(workspace, MODULE, name, &ldflags);
        let machines = program("machines")?;
        let images = [("pause", PAUSE_IMAGE), ("coredns", COREDNS_IMAGE)]
            .map(|(name, reference)| program(name).and_then(|built| image(&machines, reference, &built)));
        Ok(Self {
            kubectl: program("kubectl")?,
            components: program("kubernetes")?,
            policies: program("policies")?,
            machines,
            images: images.into_iter().collect::<Result<_>>()?,
            ctr: tools::in_path("ctr").context("containerd is there, but its `ctr` is not in PATH")?,
            containerd,
        })
    }
}

/// The tests of what makes `NetworkPolicies` count.
pub(crate) fn tests(workspace: &Workspace) -> Result<Command> {
    tools::apt::containerd()?; // and nft, which they ask
    tools::go::tests(workspace, MODULE, "policies")
}

/// kubectl alone, for a cluster of somebody's own.
pub(crate) fn kubectl(workspace: &Workspace) -> Result<PathBuf> {
    tools::go::program(workspace, MODULE, "kubectl", &ldflags(workspace)?)
}

/// Beside the program, whose folder is named after all it is made of.
fn image(machines: &Path, reference: &str, program: &Path) -> Result<PathBuf> {
    let archive = program.with_extension("tar");
    let _lock = tools::lock_cache()?;
    if !archive.exists() {
        process::run(Command::new(machines).args(["image", reference]).arg(program).arg(&archive))?;
    }
    Ok(archive)
}

/// Tells the programs which release they are; clients and Helm charts ask the API server for it.
fn ldflags(workspace: &Workspace) -> Result<String> {
    let path = workspace.root.join(MODULE).join("go.mod");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let release = release(&text).context("go.mod of the test cluster names no k8s.io/kubernetes")?;
    let parts = tools::version(release);
    let (major, minor) = (parts.first().copied().unwrap_or(0), parts.get(1).copied().unwrap_or(0));
    let flags = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].map(|package| {
        format!(
            "-X {package}.gitVersion={release} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        )
    });
    Ok(flags.join(" "))
}

fn release(go_mod: &str) -> Option<&str> {
    go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_the_module() {
        assert_eq!(release("require (\n\tk8s.io/kubernetes v1.34.4\n)"), Some("v1.34.4"));
        assert_eq!(release("module x"), None);
    }
}
