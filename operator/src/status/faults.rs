//! What is wrong with pods: why they do not start, or do not go on.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

use super::words;
use crate::crd::Reason;
use crate::observed::{MIGRATION, Observed, SeenPod};

/// A node may be on its way.
const UNSCHEDULABLE_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The kubelet goes to and fro between them.
const IMAGE: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// The container was never run, and why is in the message.
const NOT_RUN: &[&str] =
    &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"];

pub(super) type Fault = (Reason, String);

pub(super) fn of_container(container: &ContainerStatus) -> Option<Fault> {
    if container.ready {
        return None;
    }
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let why = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if IMAGE.contains(&why) {
        let message = format!(
            "image {} cannot be pulled: see that it exists, that nodes reach its registry, and spec.image.pullSecrets",
            container.image
        );
        return Some((Reason::ImagePullFailed, words::bounded(&message, 512)));
    }
    let former = container.last_state.as_ref();
    let ended = [state, former].into_iter().flatten().find_map(|state| state.terminated.as_ref());
    // A container that is run again and ended before is failing until it is ready, or its message would come and go.
    if let Some(ended) = ended.filter(|ended| ended.exit_code != 0) {
        return Some((Reason::PodsFailing, end(ended)));
    }
    let waiting = waiting.filter(|_| NOT_RUN.contains(&why))?;
    let message = words::line(waiting.message.as_deref().unwrap_or(why), 256);
    Some((Reason::PodsFailing, format!("the container cannot be run: {message}")))
}

/// How a container ended, and what to do about it.
pub(super) fn end(ended: &ContainerStateTerminated) -> String {
    if ended.reason.as_deref() == Some("OOMKilled") {
        return "the container had not enough memory: raise spec.pod.resources.limits.memory, or run more pods".to_owned();
    }
    let said = ended.message.as_deref().and_then(words::last_words).map(|said| format!(": {said}"));
    let advice = match ended.exit_code {
        69 => " (something it needs cannot be had: see to the database, NATS and Redis)",
        78 => " (wrong settings: mend the spec or its Secrets)",
        _ => " (see `kubectl logs --previous`)",
    };
    format!("the container ended with exit code {}{}{advice}", ended.exit_code, said.unwrap_or_default())
}

/// The faults of all pods, each once, the gravest first.
pub(super) fn of_pods(observed: &Observed, now: Timestamp) -> Vec<Fault> {
    let started = || observed.pods.iter().filter(|pod| !pod.is_terminating() && !pod.has_ended());
    let mut faults: Vec<_> = started()
        .flat_map(|pod| {
            pod.containers().filter_map(of_container).map(|(reason, message)| (reason, name(pod) + &message))
        })
        .chain(started().filter_map(|pod| unschedulable(pod, now)))
        .chain(started().filter_map(bus_away))
        .chain(observed.deployments.iter().filter_map(not_made))
        .collect();
    faults.sort_by_key(|(reason, message)| (rank(*reason), message.clone()));
    faults.dedup();
    faults
}

/// Whose fault it is: of a revision, since its pods are alike.
fn name(pod: &SeenPod) -> String {
    if pod.is(MIGRATION) { "migration: ".to_owned() } else { format!("revision {}: ", pod.revision()) }
}

const fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::ImagePullFailed => 0,
        Reason::PodsFailing => 1,
        _ => 2,
    }
}

fn unschedulable(pod: &SeenPod, now: Timestamp) -> Option<Fault> {
    let condition = pod.condition("PodScheduled").filter(|it| it.status == "False")?;
    let since = condition.last_transition_time.as_ref()?;
    if condition.reason.as_deref() != Some("Unschedulable")
        || now.duration_since(since.0) < UNSCHEDULABLE_AFTER
    {
        return None;
    }
    let said = words::line(condition.message.as_deref().unwrap_or_default(), 256);
    let message = format!("no node for a pod: {said} (add nodes, or change spec.pod)");
    Some((Reason::PodsUnschedulable, message))
}

/// It serves all the same, so nothing else would tell.
fn bus_away(pod: &SeenPod) -> Option<Fault> {
    let away = pod.is_ready() && pod.stats.as_ref().is_some_and(|stats| !stats.bus);
    let message =
        "no connection to NATS, and events wait in the database: see that it runs, and to spec.nats";
    away.then(|| (Reason::BusAway, name(pod) + message))
}

/// The API server refuses the pods themselves: a quota, a policy, a priority class that is not there.
fn not_made(deployment: &k8s_openapi::api::apps::v1::Deployment) -> Option<Fault> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
    // Before this stands the name of a pod that was not made.
    let said = failure.message.as_deref().unwrap_or_default();
    let said = said.split_once("is forbidden: ").map_or(said, |(_, why)| why);
    Some((Reason::PodsFailing, format!("pods cannot be made: {}", words::line(said, 256))))
}
