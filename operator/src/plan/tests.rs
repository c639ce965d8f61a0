//! What is done in one situation: the seeded histories judge the whole, these name the steps.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use super::fixture::{cluster, desired};
use super::*;
use crate::crd::PresenceClusterStatus;
use crate::observed::{Owned, SeenPod};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn job(condition: &str, ago: i64) -> Observed {
    let at = (now() - SignedDuration::from_secs(ago)).to_string();
    let conditions = json!([{ "type": condition, "status": "True", "lastTransitionTime": at }]);
    let labels = json!({ "presence.rs/revision": "a" });
    Observed {
        jobs: vec![from(json!({
            "metadata": { "name": "lessons-migrate-a", "uid": "job-uid", "labels": labels },
            "status": { "conditions": conditions },
        }))],
        ..Observed::default()
    }
}

/// Adds a Deployment whose pods are all there, `ready` of them ready.
fn with(mut observed: Observed, revision: &str, size: usize, ready: usize, age: i64) -> Observed {
    let name = format!("lessons-{revision}");
    let created = (now() - SignedDuration::from_secs(age)).to_string();
    let labels = json!({ "presence.rs/revision": revision, "app.kubernetes.io/component": "server" });
    observed.deployments.push(from(json!({
        "metadata": { "name": name, "uid": name, "generation": 2, "creationTimestamp": created, "labels": labels },
        "spec": { "replicas": size, "selector": {}, "template": {} },
        "status": { "observedGeneration": 2, "replicas": size, "updatedReplicas": size, "availableReplicas": ready },
    })));
    for number in 0..size {
        let status = if number < ready { "True" } else { "False" };
        let pod = json!({
            "metadata": { "name": format!("{name}-{number}"), "labels": labels },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] },
        });
        observed.pods.push(SeenPod { pod: from(pod), stats: None });
    }
    observed
}

fn ending(mut observed: Observed, at: usize, ends_in: i64) -> Observed {
    let ends = Time(now() + SignedDuration::from_secs(ends_in));
    observed.pods[at].pod.metadata.deletion_timestamp = Some(ends);
    observed
}

fn look(of: &PresenceCluster, observed: &Observed) -> Plan {
    plan(of, Some(&desired(of)), observed, now())
}

/// The applies are of no interest: they are always all of them.
fn changes(plan: &Plan) -> Vec<String> {
    let told = plan.actions.iter().filter_map(|action| match action {
        Action::Apply(_) => None,
        Action::Scale { deployment, replicas } => Some(format!("{deployment}={replicas}")),
        Action::Delete { object, .. } => Some(format!("-{} {}", object.kind, object.name)),
        Action::SetFinalizer(set) => Some(format!("finalizer {set}")),
    });
    told.collect()
}

fn applied(plan: &Plan) -> Vec<String> {
    let kinds = plan.actions.iter().filter_map(|action| match action {
        Action::Apply(object) => Some(object.resource.kind.clone()),
        _ => None,
    });
    kinds.collect()
}

#[test]
fn the_schema_comes_before_the_first_pod() {
    let of = cluster();
    let first = look(&of, &Observed::default());
    assert_eq!((first.stage, changes(&first)), (Stage::Migrating, vec![]));
    assert_eq!(applied(&first), ["Service", "PodDisruptionBudget", "ConfigMap", "Job"]);
    let then = look(&of, &job("Complete", 1));
    assert_eq!((then.stage, changes(&then)), (Stage::Starting, vec!["lessons-a=3".to_owned()]));
    assert_eq!(applied(&then), ["Service", "PodDisruptionBudget", "ConfigMap", "Deployment"]);
}

#[test]
fn a_failed_migration_is_tried_anew_after_a_wait_that_grows_and_ends() {
    let mut of = cluster();
    for (behind, ago, retried) in
        [(0, 9, false), (0, 10, true), (200, 40, false), (200, 50, true), (9000, 301, true)]
    {
        let since = Time(now() - SignedDuration::from_secs(ago + behind));
        let condition = Condition {
            type_: "MigrationsApplied".into(),
            status: "False".into(),
            reason: "MigrationFailed".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: since,
        };
        of.status = Some(PresenceClusterStatus { conditions: vec![condition], ..Default::default() });
        let plan = look(&of, &job("Failed", ago));
        let expected = if retried { vec!["-Job lessons-migrate-a".to_owned()] } else { vec![] };
        assert_eq!(
            (plan.stage, changes(&plan)),
            (Stage::MigrationFailed, expected),
            "{behind} s behind, {ago} s ago"
        );
        assert!(plan.again <= Duration::from_mins(5));
    }
}

#[test]
fn the_old_revision_stays_until_the_new_one_is_whole_and_then_goes_pod_by_pod() {
    let of = cluster();
    let old = || with(job("Complete", 60), "b", 3, 3, 500);
    assert_eq!(changes(&look(&of, &old())), ["lessons-a=3"]);
    for ready in 0..3 {
        let plan = look(&of, &with(old(), "a", 3, ready, 50));
        assert_eq!((plan.stage, changes(&plan)), (Stage::Starting, vec![]), "{ready} ready");
    }
    let whole = look(&of, &with(old(), "a", 3, 3, 50));
    assert_eq!((whole.stage, changes(&whole)), (Stage::Replacing, vec!["lessons-b=2".to_owned()]));
    let waits = look(&of, &ending(with(old(), "a", 3, 3, 50), 0, 40));
    assert_eq!((waits.stage, changes(&waits)), (Stage::Replacing, vec![]));
    let lost = look(&of, &ending(with(old(), "a", 3, 3, 50), 0, -31));
    assert_eq!(changes(&lost), ["lessons-b=2"], "a pod that is lost with its node is not waited for");
}

#[test]
fn a_revision_that_alone_does_not_find_the_bus_replaces_nobody() {
    let of = cluster();
    let said = |revision: &str, up: bool| (revision.to_owned(), up);
    let seen = |all: &[(String, bool)]| {
        let mut seen = with(with(job("Complete", 60), "b", 3, 3, 500), "a", 3, 3, 50);
        for pod in &mut seen.pods {
            let up = all.iter().find(|(revision, _)| revision == pod.revision()).map(|(_, up)| *up);
            pod.stats = up.map(stats);
        }
        seen
    };
    let alone = look(&of, &seen(&[said("a", false), said("b", true)]));
    assert_eq!((alone.stage, changes(&alone)), (Stage::Starting, vec![]));
    for others in [&[said("a", false), said("b", false)][..], &[said("a", true), said("b", false)], &[]] {
        let plan = look(&of, &seen(others));
        assert_eq!(
            (plan.stage, changes(&plan)),
            (Stage::Replacing, vec!["lessons-b=2".to_owned()]),
            "{others:?}"
        );
    }
}

fn stats(bus: bool) -> presence_api::admin::Stats {
    serde_json::from_value(serde_json::json!({
        "replica": "r", "label": "l", "state": "serving", "since": "2027-01-01T00:00:00Z", "ending": false,
        "accepting": true, "bus": bus, "agents": 0, "waiting": 0, "told": 0, "sharing": 1, "safe_to_delete": false,
    }))
    .unwrap()
}

#[test]
fn what_a_deployment_was_told_must_be_seen_done_before_the_next() {
    let of = cluster();
    let both = || with(with(job("Complete", 60), "b", 3, 3, 500), "a", 3, 3, 50);
    let mut unseen = both();
    unseen.deployments[0].metadata.generation = Some(3);
    assert_eq!(changes(&look(&of, &unseen)), Vec::<String>::new());
    let mut one_too_many = both();
    one_too_many.deployments[0].spec.as_mut().unwrap().replicas = Some(2);
    assert_eq!(changes(&look(&of, &one_too_many)), Vec::<String>::new());
    let mut unlike = both();
    unlike.pods.retain(|pod| pod.revision() != "a");
    assert_eq!(look(&of, &unlike).stage, Stage::Starting, "a status without its pods is not believed");
}

#[test]
fn an_empty_former_revision_goes_with_all_that_is_its_own_and_nothing_else() {
    let of = cluster();
    let mut seen = with(with(job("Complete", 60), "b", 0, 0, 500), "a", 3, 3, 50);
    let owned = |kind: &str, name: &str, revision: Option<&str>| Owned {
        object: ObjectRef { api_version: "v1".into(), kind: kind.into(), name: name.into() },
        uid: name.into(),
        revision: revision.map(str::to_owned),
    };
    seen.others = vec![
        owned("ConfigMap", "lessons-a", Some("a")),
        owned("ConfigMap", "lessons-b", Some("b")),
        owned("Service", "lessons", None),
        owned("Service", "lessons-gone", None),
        owned("Secret", "lessons-internal", None),
    ];
    let plan = look(&of, &seen);
    let gone = ["-Deployment lessons-b", "-ConfigMap lessons-b", "-Service lessons-gone"];
    assert_eq!(changes(&plan), gone);
    let seen = with(seen, "c", 1, 1, 100);
    let mut seen = seen;
    seen.others.push(owned("ConfigMap", "lessons-c", Some("c")));
    assert!(
        !changes(&look(&of, &seen)).contains(&"-ConfigMap lessons-c".to_owned()),
        "its Deployment needs it"
    );
}

#[test]
fn up_at_once_down_one_by_one_and_zero_is_a_number() {
    let mut of = cluster();
    let five = || with(job("Complete", 60), "a", 5, 5, 50);
    let down = look(&of, &five());
    assert_eq!((down.stage, changes(&down)), (Stage::ScalingIn, vec!["lessons-a=4".to_owned()]));
    of.spec.replicas = 0;
    assert_eq!(changes(&look(&of, &five())), ["lessons-a=4"]);
    let none = look(&of, &with(job("Complete", 60), "a", 0, 0, 50));
    assert_eq!((none.stage, changes(&none)), (Stage::Settled, vec![]));
    of.spec.replicas = 9;
    assert_eq!(changes(&look(&of, &five())), ["lessons-a=9"]);
}

#[test]
fn revisions_that_follow_quickly_share_twice_the_pods() {
    let of = cluster();
    // The third revision finds no room; of the second, which is not ready, one pod goes.
    let crowded = || with(with(job("Complete", 60), "c", 3, 3, 500), "b", 3, 0, 90);
    let plan = look(&of, &crowded());
    assert_eq!((plan.stage, changes(&plan)), (Stage::Starting, vec!["lessons-b=2".to_owned()]));
    assert!(!applied(&plan).contains(&"Deployment".to_owned()));
    let room = with(with(job("Complete", 60), "c", 3, 3, 500), "b", 2, 0, 90);
    assert_eq!(changes(&look(&of, &room)), ["lessons-a=1"]);
    // All are ready: more than needed, so one of the latest goes.
    let ready = with(with(job("Complete", 60), "c", 3, 3, 500), "b", 3, 3, 90);
    assert_eq!(changes(&look(&of, &ready)), ["lessons-b=2"]);
}

#[test]
fn nothing_is_changed_while_paused_blocked_or_taken() {
    let mut of = cluster();
    let seen = with(with(job("Complete", 60), "b", 3, 3, 500), "a", 3, 3, 50);
    let blocked = plan(&of, None, &seen, now());
    assert_eq!(
        (blocked.stage, blocked.actions.len(), blocked.again),
        (Stage::Blocked, 0, Duration::from_secs(5))
    );
    let taken = ObjectRef { api_version: "v1".into(), kind: "Service".into(), name: "lessons".into() };
    let taken = Observed { taken: vec![taken], ..seen.clone() };
    assert_eq!((look(&of, &taken).stage, look(&of, &taken).actions.len()), (Stage::Blocked, 0));
    of.spec.paused = true;
    assert_eq!((look(&of, &seen).stage, look(&of, &seen).actions.len()), (Stage::Paused, 0));
}

#[test]
fn a_deletion_that_drains_takes_all_pods_at_once_and_ends_in_time() {
    let mut of = cluster();
    of.spec.drain.on_delete = true;
    let seen = with(with(job("Complete", 60), "b", 3, 3, 500), "a", 3, 3, 50);
    assert_eq!(changes(&look(&of, &seen))[0], "finalizer true");
    of.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    let asked = |secs: i64| Some(Time(now() - SignedDuration::from_secs(secs)));
    of.metadata.deletion_timestamp = asked(10);
    // Neither a pause nor a broken reference holds it.
    of.spec.paused = true;
    let draining = plan(&of, None, &seen, now());
    assert_eq!(
        (draining.stage, changes(&draining)),
        (Stage::Deleting, vec!["lessons-b=0".into(), "lessons-a=0".into()])
    );
    let gone = with(job("Complete", 60), "a", 0, 0, 50);
    assert_eq!(changes(&look(&of, &gone)), ["finalizer false"]);
    of.metadata.deletion_timestamp = asked(77);
    assert_eq!(changes(&look(&of, &seen)), ["finalizer false"], "5 s + 30 s + 11 s + 30 s have passed");
    of.metadata.finalizers = None;
    assert_eq!(changes(&look(&of, &seen)), Vec::<String>::new());
}
