//! What belongs to one revision: its settings, its migration, its pods.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{ConfigMap, PodTemplateSpec},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    Revision,
    names::{self, Component, Owner},
    settings,
};

pub(super) fn config(owner: Owner<'_>, text: String, revision: &Revision) -> ConfigMap {
    let name = names::of_revision(owner.name, revision);
    ConfigMap {
        metadata: owner.metadata_at(name, Component::Server, revision),
        data: Some([(settings::FILE.to_owned(), text)].into()),
        // Another text is another revision, with a ConfigMap of its own.
        immutable: Some(true),
        binary_data: None,
    }
}

/// A pod must have been ready for so long before its Deployment calls it available.
const MIN_READY: i32 = 5;

/// Without `replicas`, which is the plan's. Its template never changes, so it never rolls by itself.
pub(super) fn deployment(owner: Owner<'_>, template: PodTemplateSpec, revision: &Revision) -> Deployment {
    let deadline = i32::try_from(owner.of.spec.rollout.progress_deadline.as_secs_up()).unwrap_or(i32::MAX);
    let rolling = RollingUpdateDeployment {
        max_unavailable: Some(IntOrString::Int(0)),
        max_surge: Some(IntOrString::Int(1)),
    };
    let spec = DeploymentSpec {
        selector: names::selector(names::pods_at(owner.name, Component::Server, revision)),
        template,
        min_ready_seconds: Some(MIN_READY),
        // The API server wants it longer than that.
        progress_deadline_seconds: Some(deadline.max(MIN_READY + 1)),
        revision_history_limit: Some(0),
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(rolling),
        }),
        ..DeploymentSpec::default()
    };
    let name = names::of_revision(owner.name, revision);
    Deployment {
        metadata: owner.metadata_at(name, Component::Server, revision),
        spec: Some(spec),
        status: None,
    }
}
