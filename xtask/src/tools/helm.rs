//! Helm, built by Go into the cache: the machine's own may be another release, and what charts do depends on it.

use std::path::PathBuf;

use anyhow::Result;

use crate::tools;

const PACKAGE: &str = "helm.sh/helm/v4/cmd/helm";
const RELEASE: &str = "v4.3.1";

pub(crate) fn ensure() -> Result<PathBuf> {
    let version = format!("-X helm.sh/helm/v4/internal/version.version={RELEASE}");
    tools::go::installed(PACKAGE, RELEASE, &version)
}
