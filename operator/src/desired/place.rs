//! What a pod runs, what it gets, and where it may be.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, LocalObjectReference, PodAffinityTerm, PodAntiAffinity, ResourceRequirements,
        TopologySpreadConstraint, WeightedPodAffinityTerm,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};

use super::{
    Revision, Unservable, canonical,
    names::{self, Component},
};
use crate::crd::{
    Image, Pod,
    workload::{PullPolicy, Spread},
};

pub(super) fn image(of: &Image) -> String {
    match (&of.digest, &of.tag) {
        (Some(digest), _) => format!("{}@{digest}", of.repository),
        (None, Some(tag)) => format!("{}:{tag}", of.repository),
        (None, None) => of.repository.clone(),
    }
}

pub(super) fn pull_policy(of: &Image) -> String {
    match of.pull_policy {
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    }
    .to_owned()
}

pub(super) fn pull_secrets(of: &Image) -> Option<Vec<LocalObjectReference>> {
    let secrets: Vec<_> =
        of.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    (!secrets.is_empty()).then_some(secrets)
}

/// No limit of CPU: held back for a moment, a server misses pings and leases. Logs count as storage.
pub(super) fn resources(of: &Pod) -> Result<ResourceRequirements, Unservable> {
    if let Some(resources) = &of.resources {
        return canonical::resources("spec.pod.resources", resources);
    }
    Ok(amounts(
        &[("cpu", "100m"), ("ephemeral-storage", "64Mi"), ("memory", "128Mi")],
        &[("ephemeral-storage", "1Gi"), ("memory", "512Mi")],
    ))
}

pub(super) fn amounts(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())));
        Some(pairs.collect::<BTreeMap<_, _>>())
    };
    ResourceRequirements { requests: map(requests), limits: map(limits), claims: None }
}

/// Over nodes, each revision by itself: the old one's pods are about to go, and do not count.
///
/// Zones are no second constraint: where nodes have none, it would keep the scheduler from scoring nodes by the first one, or
/// from finding a node at all.
pub(super) fn spread(
    of: Spread,
    cluster: &str,
    revision: &Revision,
) -> Option<Vec<TopologySpreadConstraint>> {
    let when = match of {
        Spread::Required => "DoNotSchedule",
        Spread::Preferred => "ScheduleAnyway",
        Spread::Off => return None,
    };
    Some(vec![TopologySpreadConstraint {
        label_selector: Some(siblings(cluster, revision)),
        max_skew: 1,
        // A node that takes no pods of ours would otherwise count as one that has too few.
        node_taints_policy: Some("Honor".to_owned()),
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: when.to_owned(),
        ..TopologySpreadConstraint::default()
    }])
}

/// Over zones, where nodes have them. An affinity of the spec's own takes its place.
pub(super) fn zones(of: Spread, cluster: &str, revision: &Revision) -> Option<Affinity> {
    if of == Spread::Off {
        return None;
    }
    let apart = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(siblings(cluster, revision)),
            topology_key: "topology.kubernetes.io/zone".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    let anti = PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![apart]),
        ..PodAntiAffinity::default()
    };
    Some(Affinity { pod_anti_affinity: Some(anti), ..Affinity::default() })
}

fn siblings(cluster: &str, revision: &Revision) -> LabelSelector {
    names::selector(names::pods_at(cluster, Component::Server, revision))
}
