//! How pods are reached, and who they are: ServiceAccount, Services.

use k8s_openapi::{
    api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::names::{self, Component, INTERNAL, METRICS, Owner, PUBLIC};
use crate::crd::ServiceType;

/// Pods ask nothing of the API server, and have no token for it.
pub(super) fn account(owner: Owner<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: owner.metadata(owner.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Where agents connect. Any pod may serve any of them: nothing is sticky.
pub(super) fn public(owner: Owner<'_>) -> Service {
    let of = &owner.of.spec.service;
    let is_balanced = of.type_ == ServiceType::LoadBalancer;
    let mut metadata = owner.metadata(owner.name);
    metadata.annotations = (!of.annotations.is_empty()).then(|| of.annotations.clone());
    let ranges = &of.load_balancer_source_ranges;
    let port = ServicePort {
        port: of.port,
        node_port: of.node_port.filter(|_| of.type_ != ServiceType::ClusterIP),
        ..port(PUBLIC)
    };
    let spec = ServiceSpec {
        type_: Some(type_of(of.type_).to_owned()),
        ports: Some(vec![port]),
        load_balancer_class: of.load_balancer_class.clone().filter(|_| is_balanced),
        load_balancer_source_ranges: (is_balanced && !ranges.is_empty()).then(|| ranges.clone()),
        ..selecting(owner)
    };
    Service { metadata, spec: Some(spec), status: None }
}

/// Each pod by itself, for what must not be reached from outside.
pub(super) fn pods(owner: Owner<'_>) -> Service {
    let spec = ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        cluster_ip: Some("None".to_owned()),
        ports: Some(vec![port(INTERNAL), port(METRICS)]),
        ..selecting(owner)
    };
    Service { metadata: owner.metadata(names::pods_service(owner.name)), spec: Some(spec), status: None }
}

fn selecting(owner: Owner<'_>) -> ServiceSpec {
    ServiceSpec {
        selector: Some(names::pods_of(owner.name, Component::Server)),
        session_affinity: Some("None".to_owned()),
        ..ServiceSpec::default()
    }
}

fn port((name, number): (&str, i32)) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

const fn type_of(of: ServiceType) -> &'static str {
    match of {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
