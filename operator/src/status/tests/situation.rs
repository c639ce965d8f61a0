//! A resource in some situation, as the operator sees it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::super::{View, status};
use crate::crd::ConditionType::{
    self, Degraded, Draining, GracePeriodSufficient, MigrationsApplied, Paused, Progressing, Ready,
    Rebalancing,
};
use crate::crd::{Migrate, PresenceCluster, PresenceClusterStatus, Reason};
use crate::object::ObjectRef;
use crate::observed::{Observed, SeenPod};
use crate::plan::fixture::{cluster, desired};
use crate::plan::plan;
use crate::validate::{self, Finding};

pub(super) type Expected = (ConditionType, &'static str, Reason);

#[derive(Clone)]
pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) of: PresenceCluster,
    pub(super) observed: Observed,
    pub(super) findings: Vec<Finding>,
    pub(super) refused: Option<&'static str>,
    pub(super) now: Timestamp,
    pub(super) expected: Vec<Expected>,
    pub(super) says: &'static str,
}

impl Situation {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            of: cluster(),
            observed: Observed::default(),
            findings: Vec::new(),
            refused: None,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            expected: Vec::new(),
            says: "",
        }
    }

    pub(super) fn status(&mut self) -> PresenceClusterStatus {
        let desired = desired(&self.of);
        let desired = (!validate::blocks(&self.findings)).then_some(&desired);
        let plan = plan(&self.of, desired, &self.observed, self.now);
        let view = View {
            desired,
            findings: &self.findings,
            plan: &plan,
            observed: &self.observed,
            refused: self.refused,
        };
        status(&self.of, view, self.now)
    }

    fn ago(&self, secs: i64) -> String {
        (self.now - SignedDuration::from_secs(secs)).to_string()
    }

    /// A Deployment with so many pods, in `state`: Ready, or a container's reason to wait, or other.
    pub(super) fn pods(mut self, revision: &str, count: usize, state: &str) -> Self {
        let ready = if state == "Ready" { count } else { 0 };
        let name = format!("lessons-{revision}");
        self.observed.deployments.push(from(json!({
            "metadata": { "name": name, "uid": name, "generation": 1, "creationTimestamp": self.ago(3600),
                "labels": { "presence.rs/revision": revision } },
            "spec": { "replicas": count, "selector": {}, "template": {} },
            "status": { "observedGeneration": 1, "replicas": count, "updatedReplicas": count,
                "readyReplicas": ready, "availableReplicas": ready },
        })));
        for number in 0..count {
            let pod = self.pod(&format!("{name}-{number}"), revision, "server", state);
            self.observed.pods.push(pod);
        }
        self
    }

    fn pod(&self, name: &str, revision: &str, component: &str, state: &str) -> SeenPod {
        let scheduled = if state == "Unschedulable" {
            json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/2 nodes are available", "lastTransitionTime": self.ago(60) })
        } else {
            json!({ "type": "PodScheduled", "status": "True" })
        };
        let running = json!({ "running": { "startedAt": self.ago(600) } });
        let ended = |code: i32, message: &str| json!({ "terminated": { "exitCode": code, "message": message, "finishedAt": self.ago(5) } });
        let (now, before) = match state {
            "Ready" | "Ended" => (running, json!({})),
            "Crashed" => (running, ended(78, "presence: hunter")),
            "Failed" => (ended(69, "presence: the database cannot be reached"), json!({})),
            waiting => {
                (json!({ "waiting": { "reason": waiting, "message": "secret \"x\" not found" } }), json!({}))
            }
        };
        let container = json!({ "name": "it", "image": "presence:a", "imageID": "", "ready": state == "Ready",
            "restartCount": 0, "state": now, "lastState": before });
        let ready = json!({ "type": "Ready", "status": if state == "Ready" { "True" } else { "False" },
            "lastTransitionTime": self.ago(700) });
        let mut value = json!({
            "metadata": { "name": name, "labels": { "presence.rs/revision": revision,
                "app.kubernetes.io/component": component } },
            "status": { "phase": if state == "Failed" { "Failed" } else { "Running" },
                "conditions": [ready, scheduled], "containerStatuses": [container] },
        });
        if state == "Ended" {
            value["metadata"]["deletionTimestamp"] = Value::String(self.ago(-40));
        }
        let answers = matches!(state, "Ready" | "Ended").then(|| stats(1));
        SeenPod { pod: from(value), stats: answers.map(from) }
    }

    fn with_pod(mut self, name: &str, revision: &str, component: &str, state: &str) -> Self {
        let pod = self.pod(name, revision, component, state);
        self.observed.pods.push(pod);
        self
    }

    fn job(mut self, condition: &str) -> Self {
        let conditions = match condition {
            "" => json!([]),
            type_ => json!([{ "type": type_, "status": "True", "lastTransitionTime": self.ago(5) }]),
        };
        self.observed.jobs.push(from(json!({
            "metadata": { "name": "lessons-migrate-a", "uid": "job", "labels": { "presence.rs/revision": "a" } },
            "status": { "conditions": conditions },
        })));
        self
    }

    pub(super) fn whole(self) -> Self {
        self.job("Complete").pods("a", 3, "Ready")
    }

    pub(super) fn agents(mut self, agents: &[Option<u64>]) -> Self {
        for (pod, agents) in self.observed.pods.iter_mut().zip(agents) {
            pod.stats = agents.map(|agents| from(stats(agents)));
        }
        self
    }

    fn bus_away(&mut self, revision: &str) {
        let of_revision = self.observed.pods.iter_mut().filter(|pod| pod.revision() == revision);
        of_revision.filter_map(|pod| pod.stats.as_mut()).for_each(|stats| stats.bus = false);
    }

    fn finding(mut self, reason: Reason) -> Self {
        let (message, field) = ("what to do".to_owned(), "spec.database.urlSecret".to_owned());
        self.findings.push(Finding { reason, message, field, blocks: true });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn expect(mut self, expected: &[Expected], says: &'static str) -> Self {
        self.expected = expected.to_vec();
        self.says = says;
        self
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn stats(agents: u64) -> Value {
    json!({ "replica": "r", "label": "l", "state": "serving", "since": "2027-01-01T00:00:00Z", "ending": false,
        "accepting": true, "agents": agents, "waiting": 0, "told": 0, "sharing": 1, "safe_to_delete": false })
}

fn refused_pods(deployment: &mut Deployment) {
    let failure = json!({ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"lessons-a-x7k2p\" is forbidden: no PriorityClass with name high was found" });
    deployment.status.as_mut().unwrap().conditions = Some(vec![from(failure)]);
}

pub(super) fn situations() -> Vec<Situation> {
    [good(), under_way(), broken_references(), broken_pods(), vec![bus_away()]].concat()
}

fn good() -> Vec<Situation> {
    let new = Situation::new;
    let quiet = [
        (Ready, "True", Reason::AllServing),
        (Progressing, "False", Reason::Settled),
        (Draining, "False", Reason::NoneDraining),
        (Rebalancing, "False", Reason::NotRebalancing),
        (Degraded, "False", Reason::AsExpected),
        (Paused, "False", Reason::Active),
        (MigrationsApplied, "True", Reason::Applied),
        (GracePeriodSufficient, "True", Reason::LongEnough),
    ];
    let manual = (MigrationsApplied, "True", Reason::MigratedManually);
    let zero = (Ready, "True", Reason::ScaledToZero);
    vec![
        new("all is well").whole().expect(&quiet, "3 pods of revision a serve"),
        new("no pods are asked for")
            .job("Complete")
            .pods("a", 0, "Ready")
            .with(|it| it.of.spec.replicas = 0)
            .expect(&[zero, (Progressing, "False", Reason::Settled)], "raise spec.replicas"),
        new("you migrate yourself")
            .pods("a", 3, "Ready")
            .with(|it| it.of.spec.database.migrate = Migrate::Manual)
            .expect(&[manual], "presence migrate"),
        new("paused with pods").whole().with(|it| it.of.spec.paused = true).expect(
            &[(Paused, "True", Reason::PausedBySpec), (Ready, "True", Reason::AllServing)],
            "spec.paused",
        ),
    ]
}

fn under_way() -> Vec<Situation> {
    let new = Situation::new;
    let draining = (Draining, "True", Reason::PodsDraining);
    let deleting = |it: &mut Situation| {
        it.of.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(it.now));
        it.of.metadata.finalizers = Some(vec![crate::plan::FINALIZER.to_owned()]);
        it.of.spec.drain.on_delete = true;
    };
    let pending = Situation { of: cluster(), ..new("not looked at yet") }.finding(Reason::Pending);
    vec![
        pending.expect(&[(MigrationsApplied, "Unknown", Reason::Pending)], "what to do"),
        new("the schema comes first")
            .expect(&[(MigrationsApplied, "False", Reason::Migrating)], "brought up to date"),
        new("pods start").job("Complete").pods("a", 3, "ContainerCreating").expect(
            &[(Ready, "False", Reason::PodsStarting), (Progressing, "True", Reason::PodsStarting)],
            "0 of 3 pods of revision a serve",
        ),
        new("a new revision starts")
            .job("Complete")
            .pods("b", 3, "Ready")
            .pods("a", 3, "ContainerCreating")
            .expect(
                &[
                    (Ready, "False", Reason::RevisionStarting),
                    (Progressing, "True", Reason::RevisionStarting),
                ],
                "former revisions serve meanwhile",
            ),
        new("the old one goes")
            .whole()
            .pods("b", 2, "Ready")
            .with_pod("lessons-b-9", "b", "server", "Ended")
            .expect(
                &[
                    (Ready, "True", Reason::AllServing),
                    (Progressing, "True", Reason::RevisionReplacing),
                    draining,
                ],
                "one after the other",
            ),
        new("there are too many").job("Complete").pods("a", 5, "Ready").expect(
            &[(Ready, "True", Reason::AllServing), (Progressing, "True", Reason::ScalingIn)],
            "too many go",
        ),
        new("it is being deleted").whole().with(deleting).expect(
            &[(Ready, "False", Reason::Deleting), (Progressing, "True", Reason::Deleting)],
            "let go of their agents",
        ),
    ]
}

fn broken_references() -> Vec<Situation> {
    let new = Situation::new;
    let mut all = vec![
        new("a secret is not there").finding(Reason::SecretNotFound).expect(
            &[
                (Degraded, "True", Reason::SecretNotFound),
                (Progressing, "False", Reason::SecretNotFound),
                (Ready, "False", Reason::SecretNotFound),
            ],
            "what to do",
        ),
        new("a secret goes while pods serve")
            .whole()
            .finding(Reason::SecretNotFound)
            .with(|it| {
                it.of.status =
                    Some(PresenceClusterStatus { revision: Some("a".into()), ..Default::default() });
            })
            .expect(
                &[(Degraded, "True", Reason::SecretNotFound), (Ready, "True", Reason::AllServing)],
                "what to do",
            ),
        new("a name is taken")
            .with(|it| {
                let (api_version, kind, name) = ("v1".into(), "Service".into(), "lessons".into());
                it.observed.taken.push(ObjectRef { api_version, kind, name });
            })
            .expect(&[(Degraded, "True", Reason::NameTaken)], "Service lessons belongs to somebody else"),
        new("the API server refuses")
            .whole()
            .with(|it| it.refused = Some("deployments is forbidden"))
            .expect(&[(Degraded, "True", Reason::Refused)], "deployments is forbidden"),
    ];
    for reason in
        [Reason::SecretKeyNotFound, Reason::SecretInvalid, Reason::SpecInvalid, Reason::KindNotFound]
    {
        all.push(new("a finding").finding(reason).expect(&[(Degraded, "True", reason)], "what to do"));
    }
    all
}

fn broken_pods() -> Vec<Situation> {
    let new = |name| Situation::new(name).job("Complete");
    let failing = [(Degraded, "True", Reason::PodsFailing), (Ready, "False", Reason::PodsStarting)];
    let unready = |it: &mut Situation| {
        let now = it.now;
        let mut before = it.status();
        for condition in &mut before.conditions {
            condition.last_transition_time.0 = now - SignedDuration::from_secs(3600);
        }
        it.of.status = Some(before);
    };
    vec![
        new("no image")
            .pods("a", 3, "ErrImagePull")
            .expect(&[(Degraded, "True", Reason::ImagePullFailed)], "presence:a"),
        new("no image, later")
            .pods("a", 3, "ImagePullBackOff")
            .expect(&[(Degraded, "True", Reason::ImagePullFailed)], "spec.image.pullSecrets"),
        new("pods crash").pods("a", 3, "Crashed").expect(&failing, "exit code 78: hunter (wrong settings"),
        new("pods cannot be run")
            .pods("a", 3, "CreateContainerConfigError")
            .expect(&failing, "secret \"x\" not found"),
        new("pods are refused")
            .pods("a", 3, "ContainerCreating")
            .with(|it| refused_pods(&mut it.observed.deployments[0]))
            .expect(&failing, "pods cannot be made: no PriorityClass"),
        new("no node")
            .pods("a", 3, "Unschedulable")
            .expect(&[(Degraded, "True", Reason::PodsUnschedulable)], "0/2 nodes are available"),
        new("it takes too long").pods("a", 3, "ContainerCreating").with(unready).expect(
            &[
                (Degraded, "True", Reason::ProgressDeadlineExceeded),
                (Progressing, "False", Reason::ProgressDeadlineExceeded),
            ],
            "not ready after 10m",
        ),
        Situation::new("the migration fails")
            .job("Failed")
            .with_pod("lessons-migrate-a-x", "a", "migration", "Failed")
            .expect(
                &[
                    (Degraded, "True", Reason::MigrationFailed),
                    (MigrationsApplied, "False", Reason::MigrationFailed),
                    (Progressing, "False", Reason::MigrationFailed),
                ],
                "exit code 69: the database cannot be reached",
            ),
        new("a pod does not answer")
            .pods("a", 3, "Ready")
            .agents(&[Some(1), None, Some(1)])
            .expect(&[(GracePeriodSufficient, "Unknown", Reason::PodsUnknown)], "port 8081"),
        new("too many agents for a pod")
            .pods("a", 3, "Ready")
            .agents(&[Some(30_000), Some(1), Some(1)])
            .expect(&[(GracePeriodSufficient, "False", Reason::DeadlineTooShort)], "spec.drain.deadline"),
    ]
}

fn bus_away() -> Situation {
    Situation::new("a new revision does not find NATS")
        .job("Complete")
        .pods("b", 3, "Ready")
        .pods("a", 3, "Ready")
        .agents(&[Some(1); 6])
        .with(|it| it.bus_away("a"))
        .expect(
            &[(Degraded, "True", Reason::BusAway), (Progressing, "True", Reason::RevisionStarting)],
            "spec.nats",
        )
}
