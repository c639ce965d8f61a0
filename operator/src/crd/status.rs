//! What the operator says of a `PresenceCluster`: nothing in it changes while nothing happens.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator saw. Nobody else writes it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PresenceClusterStatus {
    /// The generation of the spec that this says something of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is so, and what is to be done where it is not good.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The revision that is wanted: the name of its Deployment without the resource's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Pods that serve, of any revision: what an autoscaler counts.
    pub serving: i32,
    /// Pods that let go of their agents.
    pub draining: i32,
    /// Agents that are connected, over all pods that could be asked.
    pub agents: i64,
    /// Which pods these are.
    pub selector: String,
    /// Each of them.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pods: Vec<PodStatus>,
}

/// A pod.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// Its node, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How far it is.
    pub phase: PodPhase,
    /// How many agents it has. Absent where it could not be asked: unknown is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<i64>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not ready yet.
    Starting,
    /// Agents are sent to it.
    Serving,
    /// It lets go of its agents.
    Draining,
    /// It was ready, or should have been, and is not.
    Failing,
}
