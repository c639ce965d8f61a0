//! What the operator's caches show of a [`World`].

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{Pod as ApiPod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::world::{Dep, JobSeen, JobState, Pod, World};
use crate::observed::{COMPONENT_LABEL, Observed, Owned, REVISION_LABEL, SERVER, SeenPod};

/// Each kind has a cache of its own: none is older than what it showed before, and they need not be of one moment.
pub(super) fn observed(deployments: &World, pods: &World, rest: &World) -> Observed {
    let owned = rest.things.iter().filter(|(_, thing)| thing.ours).map(|(object, thing)| Owned {
        object: object.clone(),
        uid: thing.uid.clone(),
        revision: thing.revision.clone(),
    });
    Observed {
        deployments: deployments.deps.iter().map(|(name, dep)| deployment(name, dep, deployments)).collect(),
        jobs: rest.jobs.iter().map(|(name, seen)| job(name, seen)).collect(),
        pods: pods.pods.iter().map(pod).collect(),
        others: owned.collect(),
        taken: Vec::new(),
    }
}

fn meta(name: &str, revision: &str, uid: &str) -> ObjectMeta {
    let labels = [(REVISION_LABEL, revision), (COMPONENT_LABEL, SERVER)];
    ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}

fn deployment(name: &str, dep: &Dep, world: &World) -> Deployment {
    let count = |ready: bool| {
        let there = world.pods.iter().filter(|pod| pod.revision == dep.revision && pod.ends.is_none());
        i32::try_from(there.filter(|pod| pod.ready || !ready).count()).ok()
    };
    Deployment {
        metadata: ObjectMeta {
            generation: Some(dep.generation),
            creation_timestamp: Some(Time(dep.created)),
            ..meta(name, &dep.revision, &dep.uid)
        },
        spec: Some(DeploymentSpec { replicas: Some(dep.size), ..DeploymentSpec::default() }),
        status: Some(DeploymentStatus {
            observed_generation: Some(dep.observed),
            replicas: count(false),
            updated_replicas: count(false),
            ready_replicas: count(true),
            available_replicas: count(true),
            ..DeploymentStatus::default()
        }),
    }
}

fn job(name: &str, seen: &JobSeen) -> Job {
    let ended = |type_: &str, at: Option<Timestamp>| {
        vec![JobCondition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            last_transition_time: at.map(Time),
            ..JobCondition::default()
        }]
    };
    let conditions = match seen.state {
        JobState::Running => Vec::new(),
        JobState::Succeeded => ended("Complete", None),
        JobState::Failed(at) => ended("Failed", Some(at)),
    };
    Job {
        metadata: meta(name, &seen.revision, &seen.uid),
        status: Some(JobStatus { conditions: Some(conditions), ..JobStatus::default() }),
        ..Job::default()
    }
}

fn pod(pod: &Pod) -> SeenPod {
    let ready = PodCondition {
        type_: "Ready".to_owned(),
        status: if pod.ready { "True" } else { "False" }.to_owned(),
        ..PodCondition::default()
    };
    SeenPod {
        pod: ApiPod {
            metadata: ObjectMeta {
                deletion_timestamp: pod.ends.map(Time),
                ..meta(&pod.name, &pod.revision, &pod.name)
            },
            status: Some(PodStatus { conditions: Some(vec![ready]), ..PodStatus::default() }),
            ..ApiPod::default()
        },
        stats: None,
    }
}

/// Longer than any wait of the plan.
pub(super) const LONG: Duration = Duration::from_mins(10);
