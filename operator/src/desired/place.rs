//! What a pod runs, what it gets, and where it may be.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, LocalObjectReference, PodAffinityTerm, ResourceRequirements, TopologySpreadConstraint,
        WeightedPodAffinityTerm,
    },
    apimachinery::pkg::api::resource::Quantity,
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

const ZONE: &str = "topology.kubernetes.io/zone";
/// Of what the scheduler weighs: less than nodes, which `spread` says.
const ZONE_WEIGHT: i32 = 50;

/// Over nodes, each revision by itself: the old one's pods are about to go, and do not count. Over zones as well where it must
/// be. Where it only should, zones are said by `affinity`: the scheduler leaves out of what it weighs a node that lacks any of
/// the labels named here, and in a cluster without zones that is every node.
pub(super) fn spread(
    of: Spread,
    cluster: &str,
    revision: &Revision,
) -> Option<Vec<TopologySpreadConstraint>> {
    let (when, keys) = match of {
        Spread::Required => ("DoNotSchedule", &["kubernetes.io/hostname", ZONE][..]),
        Spread::Preferred => ("ScheduleAnyway", &["kubernetes.io/hostname"][..]),
        Spread::Off => return None,
    };
    let labels = of_revision(cluster, revision);
    let over = |key: &str| TopologySpreadConstraint {
        label_selector: Some(names::selector(labels.clone())),
        max_skew: 1,
        // A node that takes no pods of ours would otherwise count as one that has too few.
        node_taints_policy: Some("Honor".to_owned()),
        topology_key: key.to_owned(),
        when_unsatisfiable: when.to_owned(),
        ..TopologySpreadConstraint::default()
    };
    Some(keys.iter().map(|key| over(key)).collect())
}

/// What the spec says, and, where pods should be spread, that they had better be in different zones.
pub(super) fn affinity(of: &Pod, cluster: &str, revision: &Revision) -> Option<Affinity> {
    let said = of.affinity.as_ref().map(canonical::handed_on);
    if of.spread != Spread::Preferred {
        return said;
    }
    let apart = WeightedPodAffinityTerm {
        weight: ZONE_WEIGHT,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(names::selector(of_revision(cluster, revision))),
            topology_key: ZONE.to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    let mut affinity: Affinity = said.unwrap_or_default();
    let anti = affinity.pod_anti_affinity.get_or_insert_default();
    anti.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(apart);
    Some(affinity)
}

fn of_revision(cluster: &str, revision: &Revision) -> BTreeMap<String, String> {
    let mut labels = names::pods_of(cluster, Component::Server);
    labels.insert(names::REVISION.to_owned(), revision.0.clone());
    labels
}
