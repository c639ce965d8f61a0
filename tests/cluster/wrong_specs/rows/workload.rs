//! `replicas`, `rollout`, `autoscaling`, `disruptionBudget`, `pod`, and what is not there.

use super::Wrong;

pub(super) const ROWS: &[Wrong] = &[
    Wrong("fewer pods than none", "spec.replicas", r#"{"replicas": -1}"#),
    Wrong("more pods than are looked after", "spec.replicas", r#"{"replicas": 501}"#),
    Wrong("pods as text", "spec.replicas", r#"{"replicas": "3"}"#),
    Wrong("half a pod", "spec.replicas", r#"{"replicas": 1.5}"#),
    Wrong("an unknown section", "spec.rebalance", r#"{"rebalance": {"mode": "Auto"}}"#),
    Wrong("a section that is a list", "spec.drain", r#"{"drain": []}"#),
    Wrong("paused with a reason", "spec.paused", r#"{"paused": "for the weekend"}"#),
    Wrong(
        "no time for a rollout",
        "spec.rollout.progressDeadline",
        r#"{"rollout": {"progressDeadline": "1s"}}"#,
    ),
    Wrong(
        "a week for a rollout",
        "spec.rollout.progressDeadline",
        r#"{"rollout": {"progressDeadline": "7d"}}"#,
    ),
    Wrong("a strategy of rollouts", "spec.rollout.strategy", r#"{"rollout": {"strategy": "Recreate"}}"#),
    Wrong(
        "scaling to at most nothing",
        "spec.autoscaling.maxReplicas",
        r#"{"autoscaling": {"minReplicas": 1}}"#,
    ),
    Wrong(
        "scaling to zero",
        "spec.autoscaling.minReplicas",
        r#"{"autoscaling": {"minReplicas": 0, "maxReplicas": 3}}"#,
    ),
    Wrong(
        "scaling upside down",
        "spec.autoscaling.maxReplicas",
        r#"{"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}"#,
    ),
    Wrong(
        "scaling without end",
        "spec.autoscaling.maxReplicas",
        r#"{"autoscaling": {"minReplicas": 1, "maxReplicas": 501}}"#,
    ),
    Wrong(
        "aiming at idle pods",
        "spec.autoscaling.cpuPercent",
        r#"{"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "cpuPercent": 0}}"#,
    ),
    Wrong(
        "aiming too high",
        "spec.autoscaling.cpuPercent",
        r#"{"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "cpuPercent": 101}}"#,
    ),
    Wrong(
        "waiting for hours",
        "spec.autoscaling.scaleDownAfter",
        r#"{"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "scaleDownAfter": "2h"}}"#,
    ),
    Wrong(
        "scaling on CPU that is not asked for",
        "spec.pod.resources",
        r#"{"autoscaling": {"minReplicas": 1, "maxReplicas": 3}, "pod": {"resources": {"requests": {"memory": "1Gi"}}}}"#,
    ),
    Wrong(
        "a budget of none",
        "spec.disruptionBudget.maxUnavailable",
        r#"{"disruptionBudget": {"maxUnavailable": 0}}"#,
    ),
    Wrong(
        "a budget in percent",
        "spec.disruptionBudget.maxUnavailable",
        r#"{"disruptionBudget": {"maxUnavailable": "50%"}}"#,
    ),
    Wrong(
        "memory in no unit",
        "spec.pod.resources.limits.memory",
        r#"{"pod": {"resources": {"limits": {"memory": "1 GB"}}}}"#,
    ),
    Wrong(
        "memory below zero",
        "spec.pod.resources.limits.memory",
        r#"{"pod": {"resources": {"limits": {"memory": -1}}}}"#,
    ),
    Wrong(
        "CPU with a sign",
        "spec.pod.resources.requests.cpu",
        r#"{"pod": {"resources": {"requests": {"cpu": "-1"}}}}"#,
    ),
    Wrong(
        "a misspelt resource",
        "spec.pod.resources.limits",
        r#"{"pod": {"resources": {"limits": {"memroy": "1Gi"}}}}"#,
    ),
    Wrong(
        "more asked for than allowed",
        "spec.pod.resources.requests",
        r#"{"pod": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}}"#,
    ),
    Wrong(
        "claims of devices",
        "spec.pod.resources.claims",
        r#"{"pod": {"resources": {"claims": [{"name": "gpu"}]}}}"#,
    ),
    Wrong(
        "a node's label with a space",
        "spec.pod.nodeSelector.a",
        r#"{"pod": {"nodeSelector": {"a": "b c"}}}"#,
    ),
    Wrong(
        "a node's label that is no text",
        "spec.pod.nodeSelector.a",
        r#"{"pod": {"nodeSelector": {"a": true}}}"#,
    ),
    Wrong(
        "an unknown effect",
        "spec.pod.tolerations[0].effect",
        r#"{"pod": {"tolerations": [{"key": "a", "effect": "Never"}]}}"#,
    ),
    Wrong(
        "an unknown operator of a toleration",
        "spec.pod.tolerations[0].operator",
        r#"{"pod": {"tolerations": [{"key": "a", "operator": "In"}]}}"#,
    ),
    Wrong(
        "a weight of 101",
        "spec.pod.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
        r#"{"pod": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "preference": {}}]}}}}"#,
    ),
    Wrong(
        "beside pods of another namespace",
        "namespaces",
        r#"{"pod": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a", "namespaces": ["b"]}]}}}}"#,
    ),
    Wrong("spread in lower case", "spec.pod.spread", r#"{"pod": {"spread": "required"}}"#),
    Wrong(
        "a priority of the system",
        "spec.pod.priorityClassName",
        r#"{"pod": {"priorityClassName": "system-node-critical"}}"#,
    ),
    Wrong(
        "a pod's label of ours",
        "spec.pod.labels",
        r#"{"pod": {"labels": {"presence.rs/revision": "a"}}}"#,
    ),
    Wrong(
        "a pod's label of the ReplicaSet",
        "spec.pod.labels",
        r#"{"pod": {"labels": {"pod-template-hash": "a"}}}"#,
    ),
    Wrong(
        "a pod's label that is too long",
        "spec.pod.labels.a",
        r#"{"pod": {"labels": {"a": "a234567890123456789012345678901234567890123456789012345678901234"}}}"#,
    ),
    Wrong(
        "a pod's annotation of ours",
        "spec.pod.annotations",
        r#"{"pod": {"annotations": {"presence.rs/secrets": "a"}}}"#,
    ),
    Wrong(
        "no AppArmor",
        "spec.pod.annotations",
        r#"{"pod": {"annotations": {"container.apparmor.security.beta.kubernetes.io/presence": "unconfined"}}}"#,
    ),
    Wrong(
        "no seccomp",
        "spec.pod.annotations",
        r#"{"pod": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}}"#,
    ),
    Wrong(
        "who goes first",
        "spec.pod.annotations",
        r#"{"pod": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "1"}}}"#,
    ),
    Wrong("a pod of root", "spec.pod.securityContext", r#"{"pod": {"securityContext": {"runAsUser": 0}}}"#),
    Wrong("a pod in the node's network", "spec.pod.hostNetwork", r#"{"pod": {"hostNetwork": true}}"#),
    Wrong(
        "another ServiceAccount",
        "spec.pod.serviceAccountName",
        r#"{"pod": {"serviceAccountName": "admin"}}"#,
    ),
    Wrong(
        "volumes",
        "spec.pod.volumes",
        r#"{"pod": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}}"#,
    ),
];
