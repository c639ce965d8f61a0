//! The operator of a simulated history: looks through its caches, plans, and writes, each write judged as it is made.

use jiff::SignedDuration;
use kube::core::ResourceExt as _;

use super::view;
use super::world::{Dep, JobSeen, JobState, Thing, World};
use crate::crd::PresenceCluster;
use crate::desired::Desired;
use crate::object::{Object, ObjectRef};
use crate::plan::fixture::desired;
use crate::plan::{Action, FINALIZER, Plan, plan};

/// How the operator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caches {
    /// All as it is now.
    Fresh,
    /// Each kind as it was some time ago, but not before the operator was started, nor before its own last write of a
    /// Deployment: whoever runs the plan sees to that.
    Lagging,
}

/// A cache is no older than this.
const LAG: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug)]
pub(super) struct Operator {
    pub(super) caches: Caches,
    /// The oldest moments that Deployments, pods and the rest may be seen as of.
    pub(super) seen: [usize; 3],
    pub(super) writes: u64,
}

impl Operator {
    /// Looks and plans. `moments` are the worlds so far, the last one being now.
    pub(super) fn look(
        &mut self,
        of: &PresenceCluster,
        desired: Option<&Desired>,
        moments: &[World],
        mut lag: impl FnMut(usize) -> usize,
    ) -> Plan {
        let last = moments.len() - 1;
        if self.caches == Caches::Lagging {
            let latest = moments[last].now;
            let recent = moments.partition_point(|world| latest.duration_since(world.now) > LAG);
            self.seen = self.seen.map(|from| from.max(recent)).map(|from| from + lag(last - from + 1));
        } else {
            self.seen = [last; 3];
        }
        let [deployments, pods, rest] = self.seen.map(|at| &moments[at]);
        let observed = view::observed(deployments, pods, rest);
        plan(of, desired, &observed, moments[last].now)
    }

    /// One write, and whether it was legal.
    pub(super) fn write(&mut self, action: &Action, of: &mut PresenceCluster, world: &mut World) {
        match action {
            Action::Apply(object) => self.apply(object, world),
            Action::Scale { deployment, replicas } => self.scale(deployment, *replicas, of, world),
            Action::Delete { object, uid } => self.delete(object, uid.as_deref(), of, world),
            Action::SetFinalizer(set) => {
                assert_ne!(*set, world.finalizer, "the finalizer is set or let go of once");
                world.finalizer = *set;
                of.metadata.finalizers = set.then(|| vec![FINALIZER.to_owned()]);
                self.writes += 1;
            }
        }
    }

    fn apply(&mut self, object: &Object, world: &mut World) {
        let uid = world.uid();
        let revision = || object.name.rsplit('-').next().unwrap().to_owned();
        match object.resource.kind.as_str() {
            "Deployment" if !world.deps.contains_key(&object.name) => {
                let dep = Dep {
                    revision: revision(),
                    uid,
                    size: 1,
                    generation: 1,
                    observed: 0,
                    created: world.now,
                };
                world.deps.insert(object.name.clone(), dep);
                self.writes += 1;
            }
            "Job" if !world.jobs.contains_key(&object.name) => {
                let job = JobSeen { revision: revision(), uid, state: JobState::Running };
                world.jobs.insert(object.name.clone(), job);
                self.writes += 1;
            }
            "Deployment" | "Job" => {}
            kind => {
                let revision = (kind == "ConfigMap").then(revision);
                let thing = Thing { uid, value: object.value.clone(), revision, ours: true };
                let former = world.things.get(&object.reference());
                assert!(former.is_none_or(|it| it.ours), "{kind} {} belongs to somebody else", object.name);
                if former.is_none_or(|former| former.value != thing.value) {
                    world.things.insert(object.reference(), thing);
                    self.writes += 1;
                }
            }
        }
    }

    fn scale(&mut self, name: &str, replicas: i32, of: &PresenceCluster, world: &mut World) {
        let asked = of.spec.replicas;
        let (before, ending) = (world.total(), world.ending());
        let (ready, size) = (world.ready(), world.deps.get(name).map(|dep| dep.size));
        // It may be gone since it was seen.
        let Some(size) = size.filter(|size| *size != replicas) else { return };
        self.writes += 1;
        let deletion = of.metadata.deletion_timestamp.is_some();
        let dep = world.deps.get_mut(name).unwrap();
        dep.size = replicas;
        dep.generation += 1;
        let dep = dep.clone();
        if deletion {
            return;
        }
        assert!(replicas >= size - 1, "{name}: {size} -> {replicas} is more than one pod at a time");
        if self.caches == Caches::Lagging {
            return;
        }
        if replicas < size {
            assert_eq!(ending, 0, "a pod is ending, and {name} is to lose another");
            let its = world.pods.iter().filter(|pod| pod.revision == dep.revision && pod.ends.is_none());
            let its_ready = i32::try_from(its.filter(|pod| pod.ready).count()).unwrap();
            // What is not ready, or not even made, goes first.
            let left = ready - (its_ready - replicas).max(0);
            assert!(
                left >= asked.min(ready),
                "{name}: {left} ready pods are left of {ready}, {asked} are asked for"
            );
        } else {
            let total = world.total();
            assert!(total <= before.max(2 * asked), "{name}: {total} pods, {asked} are asked for");
        }
    }

    fn delete(&mut self, object: &ObjectRef, uid: Option<&str>, of: &PresenceCluster, world: &mut World) {
        let uid = uid.expect("what is deleted has a uid");
        match object.kind.as_str() {
            "Deployment" => {
                let Some(dep) = world.deps.get(&object.name).filter(|dep| dep.uid == uid) else { return };
                let serves = world.pods.iter().any(|pod| pod.revision == dep.revision && pod.ends.is_none());
                assert!(dep.size == 0 && !serves, "{} has pods, and is deleted", object.name);
                world.deps.remove(&object.name);
            }
            "Job" => {
                let Some(job) = world.jobs.get(&object.name).filter(|job| job.uid == uid) else { return };
                let wanted = desired(of).migration.is_some_and(|wanted| wanted.name == object.name);
                assert!(!wanted || job.state != JobState::Succeeded, "{} is needed", object.name);
                world.jobs.remove(&object.name);
            }
            _ => {
                let Some(thing) = world.things.get(object).filter(|thing| thing.uid == uid) else { return };
                assert!(thing.ours, "{} {} is not ours, and is deleted", object.kind, object.name);
                world.things.remove(object);
            }
        }
        self.writes += 1;
    }
}

/// The finalizers of the resource, as they are.
pub(super) fn holds(of: &PresenceCluster) -> bool {
    !of.finalizers().is_empty()
}
