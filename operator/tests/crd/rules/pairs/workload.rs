//! `pod`, and labels and annotations wherever they are.

use serde_json::{Value, json};

use super::{Pair, below, here, spec};

pub(super) fn pairs() -> Vec<Pair> {
    [maps(), pod()].into_iter().flatten().collect()
}

/// Labels and annotations.
/// A map's patch of the spec.
type Patch<'a> = &'a dyn Fn(Value) -> Value;

fn maps() -> Vec<Pair> {
    let ingress =
        |map: Value| spec(json!({ "route": { "ingress": { "host": "a.example", "annotations": map } } }));
    let service = |map: Value| spec(json!({ "service": { "annotations": map } }));
    let monitoring = |map: Value| spec(json!({ "monitoring": { "labels": map } }));
    let labels = |map: Value| spec(json!({ "pod": { "labels": map } }));
    let annotations = |map: Value| spec(json!({ "pod": { "annotations": map } }));
    let nodes = |map: Value| spec(json!({ "pod": { "nodeSelector": map } }));
    let places: [(&'static str, Patch, Option<&'static str>); 6] = [
        ("spec.route.ingress.annotations", &ingress, Some("an annotation that is the operator's own")),
        ("spec.service.annotations", &service, Some("an annotation that is the operator's own")),
        ("spec.monitoring.labels", &monitoring, Some("a label that is the operator's own")),
        ("spec.pod.labels", &labels, Some("a label that is the operator's own")),
        ("spec.pod.annotations", &annotations, Some("an annotation that is the operator's own")),
        ("spec.pod.nodeSelector", &nodes, None),
    ];
    let mut pairs = Vec::new();
    for (at, patch, ours) in places {
        let key = |key: &str| patch(json!({ key: "value" }));
        pairs.push(here(at, "holds a key that is none", key("a/b/c"), key("a.example/b")));
        pairs.push(here(at, "holds a key that is none", key("-a"), key("a")));
        pairs.push(here(at, "holds a key that is none", key(&"a".repeat(64)), key(&"a".repeat(63))));
        for forbidden in ["presence.rs/revision", "app.kubernetes.io/name"] {
            if let Some(says) = ours {
                pairs.push(here(at, says, key(forbidden), key("presence.example/revision")));
            }
        }
    }
    for key in ["pod-template-hash", "controller-revision-hash"] {
        let says = "a label that is the operator's own";
        pairs.push(here(
            "spec.pod.labels",
            says,
            labels(json!({ key: "1" })),
            labels(json!({ "hash": "1" })),
        ));
    }
    for key in [
        "kubernetes.io/config.mirror",
        "controller.kubernetes.io/pod-deletion-cost",
        "deployment.kubernetes.io/revision",
        "seccomp.security.alpha.kubernetes.io/pod",
        "container.apparmor.security.beta.kubernetes.io/presence",
        "io.kubernetes.cri-o.userns-mode",
    ] {
        let allowed = annotations(json!({ "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" }));
        pairs.push(here(
            "spec.pod.annotations",
            "what a pod is allowed",
            annotations(json!({ key: "x" })),
            allowed,
        ));
    }
    pairs
}

fn pod() -> Vec<Pair> {
    let resources = |patch: Value| spec(json!({ "pod": { "resources": patch } }));
    let only = "only cpu, memory and ephemeral-storage";
    let class = |name: &str| spec(json!({ "pod": { "priorityClassName": name } }));
    let amounts = |requests: &str, limits: &str| {
        resources(json!({ "requests": { "memory": requests }, "limits": { "memory": limits } }))
    };
    vec![
        here(
            "spec.pod.resources.limits",
            only,
            resources(json!({ "limits": { "memroy": "1Gi" } })),
            resources(json!({ "limits": { "memory": "1Gi" } })),
        ),
        here(
            "spec.pod.resources.requests",
            only,
            resources(json!({ "requests": { "nvidia.com/gpu": 1 } })),
            resources(json!({ "requests": { "cpu": 1, "ephemeral-storage": "1Gi" } })),
        ),
        below(
            "spec.pod.resources",
            "spec.pod.resources.requests",
            "more is requested",
            [amounts("2Gi", "1Gi"), amounts("1024Mi", "1Gi")],
        ),
        below(
            "spec.pod.resources",
            "spec.pod.resources.requests",
            "more is requested",
            [
                resources(json!({ "requests": { "cpu": 1 }, "limits": { "cpu": "999m" } })),
                resources(json!({ "requests": { "cpu": 1 }, "limits": { "memory": "1Gi" } })),
            ],
        ),
        here(
            "spec.pod.priorityClassName",
            "one of the system's own",
            class("system-node-critical"),
            class("classrooms"),
        ),
    ]
}
