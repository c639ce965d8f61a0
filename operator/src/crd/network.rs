//! How agents reach the pods, and who else may.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{foreign, patterns, rules};

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rules::check(
        ".nodePort",
        "!has(self.nodePort) || self.type != 'ClusterIP'",
        "is for a type of NodePort or LoadBalancer: leave it out, or change service.type",
    ),
    rules::check(
        ".loadBalancerClass",
        "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
        "is for a type of LoadBalancer: leave it out, or change service.type",
    ),
    rules::check(
        ".loadBalancerSourceRanges",
        "self.loadBalancerSourceRanges.size() == 0 || self.type == 'LoadBalancer'",
        "is for a type of LoadBalancer: leave it out, or change service.type",
    ),
    // The API server does not let it change in the Service.
    rules::check(
        ".loadBalancerClass",
        "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) \
            ? has(oldSelf.loadBalancerClass) && self.loadBalancerClass == oldSelf.loadBalancerClass \
            : !has(oldSelf.loadBalancerClass))",
        "cannot be changed while the type is LoadBalancer: change service.type to ClusterIP first",
    ),
]))]
pub struct Service {
    /// `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The nodes' port, where it is to be a certain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
    /// Which load balancer makes it, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::CLASS))]
    pub load_balancer_class: Option<String>,
    /// Networks that may use the load balancer, in CIDR notation. When empty: all.
    #[schemars(length(max = 64), transform = rules::networks)]
    pub load_balancer_source_ranges: Vec<String>,
    /// Its annotations.
    #[schemars(transform = rules::annotations)]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            type_: ServiceType::ClusterIP,
            port: 80,
            node_port: None,
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// Either an Ingress or an HTTPRoute of a Gateway.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::check(
    ".ingress",
    "has(self.ingress) != has(self.gateway)",
    "say how agents come in: either route.ingress or route.gateway, or leave out route",
)]))]
pub struct Route {
    /// An Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// An HTTPRoute of a Gateway in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The host that agents connect to.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::HOSTNAME))]
    pub host: String,
    /// Which controller serves it. Without it: the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub class_name: Option<String>,
    /// The name of a Secret with the host's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub tls_secret: Option<String>,
    /// Its annotations, over our own, which give sockets an hour of silence where the controller is known to cut them.
    #[serde(default)]
    #[schemars(transform = rules::annotations)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub name: String,
    /// The listener of it. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::NAME))]
    pub section_name: Option<String>,
    /// The hosts that agents connect to.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 253), regex(pattern = patterns::HOSTNAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub hostnames: Vec<String>,
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Whether there are any: nobody may speak to the pods, nor they to anybody, but as is needed.
    pub enabled: bool,
    /// Who may connect to the doors. When empty: everybody.
    #[schemars(length(max = 32), transform = foreign::peers)]
    pub clients: Vec<NetworkPolicyPeer>,
    /// Who may read metrics. When empty: everybody in the cluster.
    #[schemars(length(max = 32), transform = foreign::peers)]
    pub monitoring: Vec<NetworkPolicyPeer>,
    /// Where PostgreSQL, NATS, Redis, issuers and collectors are. When empty: anywhere, on their ports.
    #[schemars(length(max = 32), transform = foreign::peers)]
    pub backing: Vec<NetworkPolicyPeer>,
    /// Their ports, where a Service maps its own to others of its pods: what is let through is the pod's. Beside those of the
    /// URLs, which are known.
    #[schemars(
        length(max = 32),
        inner(range(min = 1, max = 65535)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub backing_ports: Vec<i32>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            clients: Vec::new(),
            monitoring: Vec::new(),
            backing: Vec::new(),
            backing_ports: Vec::new(),
        }
    }
}
