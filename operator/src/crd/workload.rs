//! The pods: what they run, what they get, where they may be, and how they are replaced. A closed list: nothing in it can
//! raise a pod's privilege.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, foreign, patterns, rules};

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".tag",
    "has(self.tag) || has(self.digest)",
    "say which image it is: give a tag or, better, a digest",
)]))]
pub struct Image {
    /// Where the image is, without tag and digest.
    #[schemars(length(min = 1, max = 255), regex(pattern = patterns::REPOSITORY))]
    pub repository: String,
    /// Its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::TAG))]
    pub tag: Option<String>,
    /// Its digest, which wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = patterns::DIGEST))]
    pub digest: Option<String>,
    /// When it is pulled: `IfNotPresent`, `Always` or `Never`.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Names of Secrets to pull it with.
    #[serde(default)]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 253), regex(pattern = patterns::NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
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
    #[schemars(transform = rules::within(Period::secs(30), Period::secs(24 * 3600)))]
    pub progress_deadline: Period,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { progress_deadline: Period::secs(600) }
    }
}

/// A HorizontalPodAutoscaler on CPU, which owns `replicas` through the scale subresource. It needs a metrics server.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".maxReplicas",
    "self.minReplicas <= self.maxReplicas",
    "must not be less than minReplicas",
)]))]
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
    #[schemars(transform = rules::within(Period::secs(0), Period::secs(3600)))]
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
    #[schemars(transform = foreign::resources)]
    pub resources: Option<ResourceRequirements>,
    /// Labels that a node must have.
    #[schemars(transform = rules::selector)]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are put up with.
    #[schemars(length(max = 32), transform = foreign::tolerations)]
    pub tolerations: Vec<Toleration>,
    /// Where pods want to be, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = foreign::affinity)]
    pub affinity: Option<Affinity>,
    /// Whether pods must be spread over nodes (`Required`), should be (`Preferred`), or need not be (`Off`). Over zones they are
    /// spread where it can be, unless there is an `affinity`.
    pub spread: Spread,
    /// Their priority class. Not one of the system's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = patterns::NAME),
        extend("x-kubernetes-validations" = [rules::check_self(
            "!self.startsWith('system-')",
            "must not be one of the system's own: name a PriorityClass that you made for presence",
        )])
    )]
    pub priority_class_name: Option<String>,
    /// Annotations of the pods.
    #[schemars(transform = rules::pod_annotations)]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pods, beside our own.
    #[schemars(transform = rules::labels)]
    pub labels: BTreeMap<String, String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    Required,
    #[default]
    Preferred,
    Off,
}
