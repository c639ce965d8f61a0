//! Each pod: how far it is, and how many agents it has.

use k8s_openapi::api::core::v1::ContainerStatus;
use kube::ResourceExt as _;

use super::faults;
use crate::crd::{PodPhase, PodStatus};
use crate::observed::{COMPONENT_LABEL, Observed, SERVER, SeenPod};

/// By name.
pub(super) fn pods(observed: &Observed) -> Vec<PodStatus> {
    let mut pods: Vec<_> = observed.servers().map(pod).collect();
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    pods
}

pub(super) fn selector(name: &str) -> String {
    format!("app.kubernetes.io/name=presence,app.kubernetes.io/instance={name},{COMPONENT_LABEL}={SERVER}")
}

fn pod(seen: &SeenPod) -> PodStatus {
    PodStatus {
        name: seen.pod.name_any(),
        revision: seen.revision().to_owned(),
        node: seen.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        phase: phase(seen),
        agents: seen.stats.as_ref().map(|stats| i64::try_from(stats.agents).unwrap_or(i64::MAX)),
    }
}

fn phase(seen: &SeenPod) -> PodPhase {
    if seen.is_draining() {
        PodPhase::Draining
    } else if seen.is_ready() {
        PodPhase::Serving
    } else if seen
        .containers()
        .any(|container| faults::of_container(container).is_some() || was_ready(seen, container))
    {
        PodPhase::Failing
    } else {
        PodPhase::Starting
    }
}

/// It became unready after its container was started: so it was ready in between.
fn was_ready(seen: &SeenPod, container: &ContainerStatus) -> bool {
    let started = container.state.as_ref().and_then(|state| state.running.as_ref()?.started_at.clone());
    let unready = seen.condition("Ready").and_then(|ready| ready.last_transition_time.clone());
    matches!((started, unready), (Some(started), Some(unready)) if unready.0 > started.0)
}
