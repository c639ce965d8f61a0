//! What the operator would make of a file, as YAML: a dry run for its users, and what linters and reviewers read.

use kube::ResourceExt as _;
use serde_json::Value;

use super::{Desired, Unservable, names, objects, yaml};
use crate::{crd::PresenceCluster, facts::Facts, object::Object};

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("not YAML, or not a PresenceCluster: {0}")]
    Unreadable(String),
    #[error("{kind} of {api_version} is not a PresenceCluster of presence.rs/v1alpha1")]
    OtherKind { api_version: String, kind: String },
    #[error(transparent)]
    Unservable(#[from] Unservable),
}

/// The objects of one resource, in the order in which they are applied. The resource needs to be on no cluster: its objects
/// then have no owner.
pub fn render(of: &PresenceCluster, facts: &Facts) -> Result<String, Unservable> {
    let Desired { revision, base, config, migration, mut deployment } = objects(of, facts)?;
    // As the operator scales it.
    deployment.value["spec"]["replicas"] = of.spec.replicas.into();
    let name = of.name_any();
    let heading = format!(
        "# What presence-operator makes of PresenceCluster {name}, at revision {revision}.\n\
         # Beside it there is Secret {}, with what the operator and the pods prove themselves by.\n",
        names::internal_secret(&name),
    );
    let all = base.iter().chain([&config]).chain(&migration).chain([&deployment]);
    Ok(all.fold(heading, |text, object| text + "---\n" + &document(object)))
}

/// The same of a file's text, with all that a cluster would know taken for granted: Secrets are there, kinds are known. So
/// the revision is another one than on a cluster.
pub fn render_file(text: &str) -> Result<String, RenderError> {
    let unreadable = |error: &dyn std::fmt::Display| RenderError::Unreadable(error.to_string());
    let value: Value = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    if (api_version.as_str(), kind.as_str()) != ("presence.rs/v1alpha1", "PresenceCluster") {
        return Err(RenderError::OtherKind { api_version, kind });
    }
    let mut of: PresenceCluster = serde_json::from_value(value).map_err(|error| unreadable(&error))?;
    of.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(render(&of, &Facts::assumed())?)
}

fn document(object: &Object) -> String {
    yaml::document(&object.value)
}
