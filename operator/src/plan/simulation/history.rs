//! One history: what happens is chosen by its seed; then all is mended, and the end is compared with what the spec asks for.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::chance::Chance;
use super::operator::{Caches, Operator, holds};
use super::view::LONG;
use super::world::{JobState, Thing, World};
use crate::crd::{Migrate, PresenceCluster};
use crate::object::ObjectRef;
use crate::plan::fixture::{cluster, desired};
use crate::plan::{Plan, Stage};

const EVENTS: usize = 70;
/// Calm steps within which all must be settled.
const CALM: usize = 3000;

pub(super) struct History {
    seed: u64,
    chance: Chance,
    of: PresenceCluster,
    /// A reference of the spec is broken.
    finding: bool,
    moments: Vec<World>,
    operator: Operator,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} with {:?} caches, at the end: {:#?}",
                self.seed,
                self.operator.caches,
                self.moments.last()
            );
        }
    }
}

impl History {
    pub(super) fn new(seed: u64, caches: Caches) -> Self {
        let mut world = World::new();
        let foreign =
            ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), name: "somebody-elses".into() };
        let thing =
            Thing { uid: "foreign".into(), value: json!({}), revision: Some("b".into()), ours: false };
        world.things.insert(foreign, thing);
        Self {
            seed,
            chance: Chance::new(seed),
            of: cluster(),
            finding: false,
            moments: vec![world],
            operator: Operator { caches, seen: [0; 3], writes: 0 },
        }
    }

    pub(super) fn run(mut self) {
        for _ in 0..EVENTS {
            self.event();
        }
        self.mend();
        self.settle();
    }

    pub(super) fn run_to_its_deletion(mut self) {
        let events = self.chance.below(EVENTS);
        for _ in 0..events {
            self.event();
        }
        self.of.spec.paused = self.chance.one_in(4);
        self.finding = self.chance.one_in(4);
        self.of.metadata.deletion_timestamp = Some(Time(self.world().now));
        let asked = self.world().now;
        for _ in 0..CALM {
            if !holds(&self.of) {
                return;
            }
            self.calm();
            let now = self.world().now;
            let late = now.duration_since(asked) > SignedDuration::from_secs(5 + 30 + 11 + 30);
            let gone = self.world().pods.iter().all(|pod| pod.ends.is_some_and(|ends| now > ends));
            let asks = self.of.spec.drain.on_delete;
            assert!(
                holds(&self.of) || gone || late || !asks,
                "agents were let go of before their pods were gone"
            );
        }
        panic!("the resource is never let go of");
    }

    fn world(&mut self) -> &mut World {
        self.moments.last_mut().unwrap()
    }

    /// What is next is a moment of its own, as caches may show it.
    fn moment(&mut self) {
        let now = self.world().clone();
        self.moments.push(now);
    }

    fn event(&mut self) {
        self.moment();
        match self.chance.below(10) {
            0 => self.user(),
            1 if self.chance.one_in(2) => {
                let Self { moments, chance, .. } = self;
                moments.last_mut().unwrap().disrupt(chance);
            }
            // The operator is started anew: its caches are filled with what is there now.
            2 if self.chance.one_in(3) => self.operator.seen = [self.moments.len() - 1; 3],
            3..=5 => drop(self.reconcile(true)),
            _ => self.tick(),
        }
    }

    fn tick(&mut self) {
        let Self { moments, chance, .. } = self;
        moments.last_mut().unwrap().tick(chance);
    }

    fn user(&mut self) {
        let chance = &mut self.chance;
        let spec = &mut self.of.spec;
        match chance.below(9) {
            0..=2 => spec.image.tag = Some(["a", "b", "c", "d"][chance.below(4)].to_owned()),
            3 => spec.replicas = i32::try_from(chance.below(6)).unwrap(),
            4 => spec.paused = chance.one_in(3),
            5 => self.finding = chance.one_in(3),
            6 => {
                let route = json!({ "ingress": { "host": "lessons.example" } });
                spec.route = chance.one_in(2).then(|| serde_json::from_value(route).unwrap());
            }
            7 => {
                spec.database.migrate = if chance.one_in(3) { Migrate::Manual } else { Migrate::Auto };
                spec.drain.on_delete = chance.one_in(2);
            }
            _ => {
                let tag = ["b", "c", "d"][chance.below(3)].to_owned();
                let broken = &mut self.moments.last_mut().unwrap().broken;
                if !broken.remove(&tag) {
                    broken.insert(tag);
                }
            }
        }
    }

    /// Looks, plans and writes; where it may die, perhaps not to the end.
    fn reconcile(&mut self, may_die: bool) -> Plan {
        let wanted = desired(&self.of);
        let Self { chance, of, moments, operator, .. } = self;
        let blocked = self.finding;
        let plan = operator.look(of, (!blocked).then_some(&wanted), moments, |most| chance.below(most));
        let deleting = of.metadata.deletion_timestamp.is_some();
        if (blocked || of.spec.paused) && !deleting {
            assert!(plan.actions.is_empty(), "nothing is changed while {:?}", plan.stage);
        }
        assert!(!plan.again.is_zero() && plan.again <= LONG, "it looks again in {:?}", plan.again);
        for action in &plan.actions {
            if may_die && chance.one_in(12) {
                operator.seen = [moments.len() - 1; 3];
                break;
            }
            let before = operator.writes;
            operator.write(action, of, moments.last_mut().unwrap());
            if operator.writes != before {
                let now = moments.last().unwrap().clone();
                moments.push(now);
                operator.seen[0] = moments.len() - 1;
            }
        }
        plan
    }

    fn calm(&mut self) -> Plan {
        self.moment();
        self.tick();
        if self.moments.len() > 200 {
            // What nobody can see any more.
            let oldest = self.operator.seen.into_iter().min().unwrap();
            self.moments.drain(..oldest);
            self.operator.seen = self.operator.seen.map(|at| at - oldest);
        }
        self.reconcile(false)
    }

    fn mend(&mut self) {
        self.finding = false;
        self.of.spec.paused = false;
        self.world().heal();
    }

    fn settle(&mut self) {
        for _ in 0..CALM {
            let before = self.operator.writes;
            let plan = self.calm();
            if plan.stage == Stage::Settled && before == self.operator.writes && self.as_asked() {
                return self.stay();
            }
        }
        panic!("it is never as the spec asks");
    }

    /// At rest nothing is written, ever.
    fn stay(&mut self) {
        let before = self.operator.writes;
        for _ in 0..20 {
            self.calm();
        }
        assert_eq!(self.operator.writes, before, "it writes at rest");
        assert!(self.as_asked(), "it does not stay as asked");
    }

    /// The objects are those that the spec asks for, whatever there was before.
    fn as_asked(&mut self) -> bool {
        let wanted = desired(&self.of);
        let (tag, replicas) = (wanted.revision.0.clone(), self.of.spec.replicas);
        let things: BTreeSet<_> = wanted
            .base
            .iter()
            .chain([&wanted.config])
            .map(|it| (it.reference(), it.value.to_string()))
            .collect();
        let world = self.world();
        let ours = world.things.iter().filter(|(_, thing)| thing.ours);
        let there: BTreeSet<_> =
            ours.map(|(object, thing)| (object.clone(), thing.value.to_string())).collect();
        let jobs: Vec<_> = world.jobs.iter().map(|(name, job)| (name.as_str(), job.state)).collect();
        let job =
            wanted.migration.iter().map(|job| (job.name.as_str(), JobState::Succeeded)).collect::<Vec<_>>();
        let deps: Vec<_> = world.deps.iter().map(|(name, dep)| (name.as_str(), dep.size)).collect();
        let foreign = world.things.values().filter(|thing| !thing.ours).count();
        let finalizer = world.finalizer;
        things == there
            && jobs == job
            && deps == [(wanted.deployment.name.as_str(), replicas)]
            && world.ready() == replicas
            && world.pods.iter().all(|pod| pod.revision == tag)
            && foreign == 1
            && finalizer == self.of.spec.drain.on_delete
    }
}
