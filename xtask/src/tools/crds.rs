//! Definitions of kinds that others own, `HTTPRoute` and `PodMonitor`: as their projects release them in Go modules, copied
//! into the cache. Tests bring them to a cluster, to see what the real schemas say.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::tools::{self, Pinned};

/// A file of a Go module.
#[derive(Debug, Hash)]
struct Definition {
    module: &'static str,
    /// The last that `go::AT_LEAST` is enough for.
    release: &'static str,
    /// Of the module's contents, as in a `go.sum`.
    sum: &'static str,
    folder: &'static str,
    file: &'static str,
}

const DEFINITIONS: [Definition; 2] = [
    Definition {
        module: "sigs.k8s.io/gateway-api",
        release: "v1.6.3",
        sum: "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        folder: "config/crd/standard",
        file: "gateway.networking.k8s.io_httproutes.yaml",
    },
    Definition {
        module: "github.com/prometheus-operator/prometheus-operator",
        release: "v0.85.0",
        sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        folder: "example/prometheus-operator-crd",
        file: "monitoring.coreos.com_podmonitors.yaml",
    },
];

/// The folder that has them all.
pub(crate) fn ensure() -> Result<PathBuf> {
    let pinned = Pinned::of("crds", &DEFINITIONS)?;
    if pinned.is_complete() {
        return Ok(pinned.home);
    }
    let _lock = tools::lock_cache()?;
    if !pinned.is_complete() {
        pinned.make_home_anew()?;
        for definition in &DEFINITIONS {
            let Definition { module, release, sum, folder, file } = definition;
            let from = tools::go::module(module, release, sum)?.join(folder).join(file);
            // What Go keeps is read-only, and a copy of a file would be, too.
            let text = std::fs::read(&from).with_context(|| format!("{module} {release} has no {file}"))?;
            let to = pinned.home.join(file);
            std::fs::write(&to, text).with_context(|| format!("write {}", to.display()))?;
        }
        pinned.complete()?;
    }
    Ok(pinned.home)
}
