//! How Prometheus finds the pods: a PodMonitor, where the cluster knows such.

use kube::core::GroupVersionKind;
use serde_json::json;

use super::names::{self, Component, METRICS, Owner};
use crate::object::Object;

pub(super) fn pod_monitor(owner: Owner<'_>) -> Object {
    let of = &owner.of.spec.monitoring;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor");
    let mut metadata = owner.metadata(owner.name);
    metadata.labels.get_or_insert_default().extend(of.labels.clone());
    let value = json!({
        "metadata": metadata,
        "spec": {
            "selector": { "matchLabels": names::pods_of(owner.name, Component::Server) },
            // So that an old revision can be told from a new one while both serve.
            "podTargetLabels": [names::REVISION],
            "podMetricsEndpoints": [{ "port": METRICS.0, "path": "/metrics", "interval": of.interval }],
        },
    });
    Object::foreign(&gvk, "podmonitors", owner.name, value)
}
