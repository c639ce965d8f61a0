//! What judges Kubernetes objects: kube-score, which Go builds into the cache, and checkov and kubernetes-validate with all that
//! they need, in a Python environment of their own. Each is run without the network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::python;
use crate::tools;
use crate::workspace::Workspace;

const KUBE_SCORE: &str = "github.com/zegl/kube-score/cmd/kube-score";
const KUBE_SCORE_RELEASE: &str = "v1.20.0";
const REQUIREMENTS: &str = "charts/lint/requirements.txt";
/// The oldest Kubernetes that is supported.
const KUBERNETES: &str = "1.34";

#[derive(Debug)]
pub(crate) struct Linters {
    kube_score: PathBuf,
    python: PathBuf,
}

impl Linters {
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let imports = "import checkov.main, jsonschema, kubernetes_validate, yaml";
        Ok(Self {
            kube_score: tools::go::installed(KUBE_SCORE, KUBE_SCORE_RELEASE, "")?,
            python: python::environment(workspace, "linters", REQUIREMENTS, imports)?,
        })
    }

    /// Prints a JSON list of objects with their checks.
    pub(crate) fn kube_score(&self, file: &Path) -> Command {
        let mut command = Command::new(&self.kube_score);
        command.args(["score", "--output-format", "json", "--kubernetes-version"]);
        command.arg(format!("v{KUBERNETES}")).arg(file);
        command
    }

    /// Prints a JSON object. It would ask for a newer release of itself, and for descriptions of what it finds.
    pub(crate) fn checkov(&self, file: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.env("CKV_SKIP_PACKAGE_UPDATE_CHECK", "true").env("LOG_LEVEL", "ERROR");
        command.args([
            "-m",
            "checkov.main",
            "--framework",
            "kubernetes",
            "--compact",
            "--quiet",
            "--soft-fail",
        ]);
        command.args(["--skip-download", "--output", "json", "--file"]).arg(file);
        command
    }

    /// Prints a JSON list of findings.
    pub(crate) fn validate(&self, workspace: &Workspace, file: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(workspace.root.join("charts/lint/validate.py")).arg(KUBERNETES);
        command.arg(workspace.root.join("crds")).arg(file);
        command
    }
}
