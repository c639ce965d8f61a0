//! Who may speak to the pods, and to whom they may. A policy that names both directions denies all that it does not list.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    Revision, canonical, destinations,
    names::{self, Component, INTERNAL, METRICS, Owner, PUBLIC},
};
use crate::{
    crd::Migrate,
    facts::{Facts, OperatorPods},
};

/// One for the servers, and one for those of this revision; one for migrations, where the operator runs them.
pub(super) fn policies(owner: Owner<'_>, facts: &Facts, revision: &Revision) -> Vec<NetworkPolicy> {
    let spec = &owner.of.spec;
    if !spec.network_policy.enabled {
        return Vec::new();
    }
    let mut policies = vec![of_servers(owner, facts), of_revision(owner, facts, revision)];
    if spec.database.migrate == Migrate::Auto {
        policies.push(of_migrations(owner, facts));
    }
    policies
}

fn of_servers(owner: Owner<'_>, facts: &Facts) -> NetworkPolicy {
    let of = &owner.of.spec.network_policy;
    let siblings = pods(names::pods_of(owner.name, Component::Server));
    let mut internal = vec![siblings.clone()];
    internal.extend(facts.operator.as_ref().map(operator));
    let everybody_inside = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let monitoring =
        if of.monitoring.is_empty() { vec![everybody_inside] } else { canonical::handed_on(&of.monitoring) };
    let ingress = vec![
        from(anybody_or(&of.clients), PUBLIC.1),
        from(Some(internal), INTERNAL.1),
        from(Some(monitoring), METRICS.1),
    ];
    let egress = vec![dns(), to(Some(vec![siblings]), [INTERNAL.1])];
    policy(owner, owner.name.to_owned(), Component::Server, (Some(ingress), egress))
}

/// What a revision stands on. It goes with the revision: where the next one finds its database at another port, the former one
/// still needs its own.
fn of_revision(owner: Owner<'_>, facts: &Facts, revision: &Revision) -> NetworkPolicy {
    let spec = &owner.of.spec;
    let pods = names::pods_at(owner.name, Component::Server, revision);
    let backing = anybody_or(&spec.network_policy.backing);
    let name = names::of_revision(owner.name, revision);
    NetworkPolicy {
        metadata: owner.metadata_at(name, Component::Server, revision),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names::selector(pods)),
            policy_types: Some(vec!["Egress".to_owned()]),
            ingress: None,
            egress: Some(vec![to(backing, destinations::of_servers(spec, facts))]),
        }),
    }
}

fn of_migrations(owner: Owner<'_>, facts: &Facts) -> NetworkPolicy {
    let backing = &owner.of.spec.network_policy.backing;
    let database = destinations::of_migrations(&owner.of.spec, facts);
    let egress = vec![dns(), to(anybody_or(backing), database)];
    policy(owner, format!("{}-migrate", owner.name), Component::Migration, (None, egress))
}

fn policy(
    owner: Owner<'_>,
    name: String,
    component: Component,
    (ingress, egress): (Option<Vec<NetworkPolicyIngressRule>>, Vec<NetworkPolicyEgressRule>),
) -> NetworkPolicy {
    let spec = NetworkPolicySpec {
        pod_selector: Some(names::selector(names::pods_of(owner.name, component))),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress,
        egress: Some(egress),
    };
    NetworkPolicy { metadata: owner.metadata(name), spec: Some(spec) }
}

/// None is everybody; an empty list would be nobody.
fn anybody_or(peers: &Vec<NetworkPolicyPeer>) -> Option<Vec<NetworkPolicyPeer>> {
    (!peers.is_empty()).then(|| canonical::handed_on(peers))
}

fn pods(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(names::selector(labels)), ..NetworkPolicyPeer::default() }
}

fn operator(of: &OperatorPods) -> NetworkPolicyPeer {
    let namespace = [("kubernetes.io/metadata.name".to_owned(), of.namespace.clone())].into();
    NetworkPolicyPeer { namespace_selector: Some(names::selector(namespace)), ..pods(of.labels.clone()) }
}

fn from(peers: Option<Vec<NetworkPolicyPeer>>, port: i32) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: peers, ports: Some(vec![on("TCP", port)]) }
}

fn to(
    peers: Option<Vec<NetworkPolicyPeer>>,
    ports: impl IntoIterator<Item = i32>,
) -> NetworkPolicyEgressRule {
    let ports = ports.into_iter().map(|port| on("TCP", port)).collect();
    NetworkPolicyEgressRule { to: peers, ports: Some(ports) }
}

/// Wherever it is: on nodes, in pods. What a policy sees is the port of the pod behind the Service, 5353 on some.
fn dns() -> NetworkPolicyEgressRule {
    let ports = [53, 5353].into_iter().flat_map(|port| [on("UDP", port), on("TCP", port)]).collect();
    NetworkPolicyEgressRule { to: None, ports: Some(ports) }
}

fn on(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
