//! A tiny cluster: Deployments, Jobs and pods that live as Kubernetes lets them, and other objects that are just there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::chance::Chance;
use crate::object::ObjectRef;

/// A pod's grace period.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(46);

#[derive(Clone, Debug)]
pub(super) struct Dep {
    pub(super) revision: String,
    pub(super) uid: String,
    pub(super) size: i32,
    pub(super) generation: i64,
    pub(super) observed: i64,
    pub(super) created: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) revision: String,
    pub(super) ready: bool,
    /// When its grace ends.
    pub(super) ends: Option<Timestamp>,
    /// Its node is gone: it stays as it is.
    pub(super) stuck: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Running,
    Succeeded,
    Failed(Timestamp),
}

#[derive(Clone, Debug)]
pub(super) struct JobSeen {
    pub(super) revision: String,
    pub(super) uid: String,
    pub(super) state: JobState,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thing {
    pub(super) uid: String,
    pub(super) value: Value,
    pub(super) revision: Option<String>,
    pub(super) ours: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) deps: BTreeMap<String, Dep>,
    pub(super) jobs: BTreeMap<String, JobSeen>,
    pub(super) pods: Vec<Pod>,
    pub(super) things: BTreeMap<ObjectRef, Thing>,
    /// Revisions whose pods never get ready, or whose migrations fail, for now.
    pub(super) broken: BTreeSet<String>,
    pub(super) finalizer: bool,
    made: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            deps: BTreeMap::new(),
            jobs: BTreeMap::new(),
            pods: Vec::new(),
            things: BTreeMap::new(),
            broken: BTreeSet::new(),
            finalizer: false,
            made: 0,
        }
    }

    pub(super) fn uid(&mut self) -> String {
        self.made += 1;
        format!("uid-{}", self.made)
    }

    pub(super) fn ready(&self) -> i32 {
        i32::try_from(self.pods.iter().filter(|pod| pod.ready && pod.ends.is_none()).count()).unwrap()
    }

    /// Pods that are ending, and not lost with their node.
    pub(super) fn ending(&self) -> usize {
        let lost = |ends: Timestamp| self.now.duration_since(ends) > SignedDuration::from_secs(30);
        self.pods.iter().filter(|pod| pod.ends.is_some_and(|ends| !lost(ends))).count()
    }

    /// Pods that are there, or will be.
    pub(super) fn total(&self) -> i32 {
        let of = |revision: &str| {
            let there = self.pods.iter().filter(|pod| pod.revision == revision && pod.ends.is_none());
            i32::try_from(there.count()).unwrap()
        };
        let kept: i32 = self.deps.values().map(|dep| dep.size.max(of(&dep.revision))).sum();
        kept + i32::try_from(self.ending()).unwrap()
    }

    /// One thing happens that Kubernetes does by itself.
    pub(super) fn tick(&mut self, chance: &mut Chance) {
        match chance.below(8) {
            0 => self.now += SignedDuration::from_secs(1 + i64::try_from(chance.below(20)).unwrap()),
            1 => self.finish_job(chance),
            2 | 3 => self.become_ready(chance),
            4 => self.end_pod(chance),
            _ => self.control(chance),
        }
    }

    fn finish_job(&mut self, chance: &mut Chance) {
        let mut running: Vec<_> =
            self.jobs.values_mut().filter(|job| job.state == JobState::Running).collect();
        if running.is_empty() {
            return;
        }
        let at = chance.below(running.len());
        let failed = self.broken.contains(&running[at].revision) && chance.one_in(2);
        running[at].state = if failed { JobState::Failed(self.now) } else { JobState::Succeeded };
    }

    fn become_ready(&mut self, chance: &mut Chance) {
        let waiting = |pod: &&mut Pod| !pod.ready && pod.ends.is_none() && !pod.stuck;
        let mut starting: Vec<_> =
            self.pods.iter_mut().filter(waiting).filter(|pod| !self.broken.contains(&pod.revision)).collect();
        if !starting.is_empty() {
            let at = chance.below(starting.len());
            starting[at].ready = true;
        }
    }

    fn end_pod(&mut self, chance: &mut Chance) {
        let ending: Vec<_> = (0..self.pods.len())
            .filter(|at| self.pods[*at].ends.is_some() && !self.pods[*at].stuck)
            .collect();
        if !ending.is_empty() {
            self.pods.remove(ending[chance.below(ending.len())]);
        }
    }

    /// A Deployment's controller, with its ReplicaSet's: makes what lacks, takes what is too many.
    fn control(&mut self, chance: &mut Chance) {
        let names: Vec<_> = self.deps.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[chance.below(names.len())].clone();
        let mut dep = self.deps[&name].clone();
        dep.observed = dep.generation;
        let present = |world: &Self| {
            let there = world.pods.iter().filter(|pod| pod.revision == dep.revision && pod.ends.is_none());
            i32::try_from(there.count()).unwrap()
        };
        while present(self) < dep.size {
            let name = self.uid();
            self.pods.push(Pod {
                name,
                revision: dep.revision.clone(),
                ready: false,
                ends: None,
                stuck: false,
            });
        }
        while present(self) > dep.size {
            self.take_one(&dep);
        }
        self.deps.insert(name, dep);
    }

    fn take_one(&mut self, dep: &Dep) {
        let ends = self.now + GRACE;
        let mut there = self.pods.iter_mut().filter(|pod| pod.revision == dep.revision && pod.ends.is_none());
        let victim = there.by_ref().min_by_key(|pod| pod.ready).unwrap();
        victim.ends = Some(ends);
    }

    /// A pod is taken by somebody else: its node is drained, or dies.
    pub(super) fn disrupt(&mut self, chance: &mut Chance) {
        if self.pods.is_empty() {
            return;
        }
        let at = chance.below(self.pods.len());
        let ends = self.now + GRACE;
        let pod = &mut self.pods[at];
        match chance.below(4) {
            0 => pod.ready = false,
            1 => {
                pod.stuck = true;
                pod.ready = false;
                pod.ends.get_or_insert(ends);
            }
            _ => {
                pod.ends.get_or_insert(ends);
            }
        }
    }

    /// The nodes that were gone are removed, with their pods.
    pub(super) fn heal(&mut self) {
        self.pods.retain(|pod| !pod.stuck);
        self.broken.clear();
    }
}
