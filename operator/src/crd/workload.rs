//! The pods: what they run, what they get, where they may be, and how they are replaced. A closed list: nothing in it can
//! raise a pod's privilege.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Where the image is, without tag and digest.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// Its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_][-A-Za-z0-9_.]*$"))]
    pub tag: Option<String>,
    /// Its digest, which wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// When it is pulled: `IfNotPresent`, `Always` or `Never`.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Names of Secrets to pull it with.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    #[default]
    IfNotPresent,
    Always,
    Never,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// How long a new revision may take until all its pods are ready. Then it is said to be stuck; the old one serves on.
    pub progress_deadline: Period,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { progress_deadline: Period::secs(600) }
    }
}

/// A HorizontalPodAutoscaler on CPU, which owns `replicas` through the scale subresource. It needs a metrics server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest pods.
    #[schemars(range(min = 1, max = 500))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 500))]
    pub max_replicas: i32,
    /// The average use of the requested CPU to aim at, in percent.
    #[serde(default = "cpu_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: i32,
    /// For how long fewer pods must have been enough before some go.
    #[serde(default = "scale_down_after")]
    pub scale_down_after: Period,
}

const fn cpu_percent() -> i32 {
    70
}

const fn scale_down_after() -> Period {
    Period::secs(300)
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudget {
    /// Whether there is one.
    pub enabled: bool,
    /// Pods that may be away at a time.
    #[schemars(range(min = 1, max = 500))]
    pub max_unavailable: i32,
}

impl Default for DisruptionBudget {
    fn default() -> Self {
        Self { enabled: true, max_unavailable: 1 }
    }
}

#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// CPU and memory. Without it: 100m and 128Mi requested, 512Mi of memory at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are put up with.
    pub tolerations: Vec<Toleration>,
    /// Where pods want to be, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Whether pods must be spread over nodes and zones (`Required`), should be (`Preferred`), or need not be (`Off`).
    pub spread: Spread,
    /// Their priority class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Annotations of the pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pods, beside our own.
    pub labels: BTreeMap<String, String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    Required,
    #[default]
    Preferred,
    Off,
}
