//! Objects as JSON, by kind: the tests know the API by what is on the wire, not by the operator's types.

use anyhow::{Context, Result};
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

/// The kinds that tests look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    PresenceCluster,
    Deployment,
    ReplicaSet,
    Pod,
    Job,
    Service,
    ConfigMap,
    Secret,
    ServiceAccount,
    PodDisruptionBudget,
    NetworkPolicy,
    Ingress,
    HTTPRoute,
    PodMonitor,
    HorizontalPodAutoscaler,
    Event,
    Role,
    RoleBinding,
    Lease,
}

impl Kind {
    /// All that an operator makes for a resource, directly.
    pub const OWNED: [Self; 10] = [
        Self::Deployment,
        Self::Job,
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::Ingress,
        Self::HorizontalPodAutoscaler,
    ];

    pub fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::PresenceCluster => ("presence.rs", "v1alpha1", "presenceclusters"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::ReplicaSet => ("apps", "v1", "replicasets"),
            Self::Pod => ("", "v1", "pods"),
            Self::Job => ("batch", "v1", "jobs"),
            Self::Service => ("", "v1", "services"),
            Self::ConfigMap => ("", "v1", "configmaps"),
            Self::Secret => ("", "v1", "secrets"),
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies"),
            Self::Ingress => ("networking.k8s.io", "v1", "ingresses"),
            Self::HTTPRoute => ("gateway.networking.k8s.io", "v1", "httproutes"),
            Self::PodMonitor => ("monitoring.coreos.com", "v1", "podmonitors"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Self::Event => ("events.k8s.io", "v1", "events"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "roles"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
            Self::Lease => ("coordination.k8s.io", "v1", "leases"),
        };
        let gvk = kube::core::GroupVersionKind::gvk(group, version, &format!("{self:?}"));
        ApiResource::from_gvk_with_plural(&gvk, plural)
    }
}

/// What stands at a JSON pointer, or what does not.
pub fn path<'a>(of: &'a DynamicObject, pointer: &str) -> Result<&'a Value> {
    of.data.pointer(pointer).with_context(|| format!("{} has no {pointer}", name_of(of)))
}

pub fn name_of(of: &DynamicObject) -> &str {
    of.metadata.name.as_deref().unwrap_or("?")
}

/// A condition's status, reason and message.
pub fn condition<'a>(of: &'a DynamicObject, of_type: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let conditions = path(of, "/status/conditions")?.as_array().context("conditions are a list")?;
    let found = conditions.iter().find(|condition| condition["type"] == of_type);
    let found = found.with_context(|| format!("there is no condition {of_type}"))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    Ok((text("status"), text("reason"), text("message")))
}
