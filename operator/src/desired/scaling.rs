//! How many pods there may be, and how few: HorizontalPodAutoscaler, PodDisruptionBudget.

use k8s_openapi::{
    api::{
        autoscaling::v2::{
            CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler,
            HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
            ResourceMetricSource,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::Resource as _;

use super::names::{self, Component, Owner};
use crate::crd::{Autoscaling, PresenceCluster};

/// It scales the resource, not a Deployment: there are several of those while one replaces another.
pub(super) fn autoscaler(owner: Owner<'_>, of: &Autoscaling) -> HorizontalPodAutoscaler {
    // Longer than this the API server does not remember.
    let window = i32::try_from(of.scale_down_after.as_secs_up().min(3600)).unwrap_or(3600);
    let rules = HPAScalingRules { stabilization_window_seconds: Some(window), ..HPAScalingRules::default() };
    let spec = HorizontalPodAutoscalerSpec {
        scale_target_ref: CrossVersionObjectReference {
            api_version: Some(PresenceCluster::api_version(&()).into_owned()),
            kind: PresenceCluster::kind(&()).into_owned(),
            name: owner.name.to_owned(),
        },
        min_replicas: Some(of.min_replicas),
        max_replicas: of.max_replicas,
        metrics: Some(vec![cpu(of.cpu_percent)]),
        behavior: Some(HorizontalPodAutoscalerBehavior { scale_down: Some(rules), scale_up: None }),
    };
    HorizontalPodAutoscaler { metadata: owner.metadata(owner.name), spec: Some(spec), status: None }
}

fn cpu(percent: i32) -> MetricSpec {
    let target = MetricTarget {
        type_: "Utilization".to_owned(),
        average_utilization: Some(percent),
        ..MetricTarget::default()
    };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target }),
        ..MetricSpec::default()
    }
}

/// Over all revisions. Pods that are not ready anyway hold up no drain of a node, not even a single pod.
pub(super) fn budget(owner: Owner<'_>, max_unavailable: i32) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(max_unavailable)),
        selector: Some(names::selector(names::pods_of(owner.name, Component::Server))),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget { metadata: owner.metadata(owner.name), spec: Some(spec), status: None }
}
