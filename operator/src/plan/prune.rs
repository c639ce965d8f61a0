//! What is ours and no longer asked for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::core::{ApiResource, Resource};

use super::{Action, group, groups};
use crate::desired::Desired;
use crate::object::ObjectRef;
use crate::observed::{Observed, REVISION_LABEL};

/// Only what `observed` holds as ours can be in the answer. What belongs to a revision stays as long as its Deployment.
pub(super) fn prune(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<Action> {
    let (_, others) = group::split(groups(observed), &desired.deployment.name);
    let (empty, used): (Vec<_>, Vec<_>) = others.into_iter().partition(|group| group.is_empty(now));
    let mut used: BTreeSet<_> = used.iter().map(group::Group::revision).collect();
    // One that is being deleted may still have pods that start.
    let going = observed.deployments.iter().filter(|it| it.metadata.deletion_timestamp.is_some());
    used.extend(going.filter_map(|deployment| deployment.labels().get(REVISION_LABEL)).map(String::as_str));
    let wanted = desired.revision.0.as_str();
    let in_use = |revision: Option<&str>| revision.is_some_and(|it| it != wanted && used.contains(it));

    let deployments = empty.iter().map(|group| delete::<Deployment>(group.deployment));
    let jobs = observed.jobs.iter().filter(|job| {
        let asked_for = desired.migration.as_ref().is_some_and(|wanted| wanted.name == job.name_any());
        let going = job.metadata.deletion_timestamp.is_some();
        !asked_for && !going && !in_use(job.labels().get(REVISION_LABEL).map(String::as_str))
    });
    let kept: BTreeSet<_> =
        desired.base.iter().chain([&desired.config]).map(|it| key(&it.reference())).collect();
    let others = observed.others.iter().filter(|owned| {
        !kept.contains(&key(&owned.object))
            && !in_use(owned.revision.as_deref())
            && owned.object.kind != "Secret"
    });
    deployments
        .chain(jobs.map(delete::<Job>))
        .chain(others.map(|it| Action::Delete { object: it.object.clone(), uid: Some(it.uid.clone()) }))
        .collect()
}

fn delete<K: Resource<DynamicType = ()>>(object: &K) -> Action {
    let ApiResource { api_version, kind, .. } = ApiResource::erase::<K>(&());
    let object_ref = ObjectRef { api_version, kind, name: object.name_any() };
    Action::Delete { object: object_ref, uid: object.uid() }
}

/// An object is the same in every version of its kind.
fn key(object: &ObjectRef) -> (String, String, String) {
    let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
    (group.to_owned(), object.kind.clone(), object.name.clone())
}
