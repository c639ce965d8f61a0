//! What starts pods anew, and what does not.

use presence_operator::{
    crd::{PresenceCluster, SecretKey},
    desired::objects,
    facts::{Facts, Family, OperatorPods},
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::fixture::{FULL, both, desired, facts, find, resource};

/// A part of the spec, another value, and whether pods start anew for it.
fn changes() -> Vec<(&'static str, Value, bool)> {
    vec![
        ("/replicas", json!(7), false),
        ("/image/digest", json!(format!("sha256:{}", "f".repeat(64))), true),
        ("/image/pullPolicy", json!("Never"), true),
        ("/database/urlSecret/key", json!("uri"), true),
        ("/database/maxConnections", json!(30), true),
        ("/database/migrate", json!("Manual"), false),
        ("/database/migrationUrlSecret/name", json!("other"), false),
        ("/nats/urls/0", json!("tls://nats-9.nats:4222"), true),
        ("/nats/stream/maxAge", json!("3h"), true),
        ("/redis/keyPrefix", json!("other:"), true),
        ("/redis", Value::Null, true),
        ("/auth/issuers/0/leeway", json!("20s"), true),
        ("/auth/authz/mode", json!("Allow"), true),
        ("/doors/origins/0", json!("https://other.example"), true),
        ("/doors/native/enabled", json!(false), true),
        ("/doors/socketio/seats", json!(41), true),
        ("/timings/leaveGrace", json!("11s"), true),
        ("/drain/deadline", json!("3m"), true),
        ("/drain/agentsPerSecond", json!(501), true),
        ("/drain/preStop", json!("16s"), true),
        ("/drain/onDelete", json!(false), false),
        ("/rollout/progressDeadline", json!("20m"), false),
        ("/autoscaling/maxReplicas", json!(21), false),
        ("/autoscaling", Value::Null, false),
        ("/service/type", json!("ClusterIP"), false),
        ("/service/port", json!(8443), false),
        ("/route/ingress/host", json!("other.example"), false),
        ("/route", Value::Null, false),
        ("/disruptionBudget/maxUnavailable", json!(3), false),
        ("/networkPolicy/enabled", json!(false), false),
        ("/networkPolicy/backing", json!([]), false),
        ("/networkPolicy/backingPorts", json!([8443]), false),
        ("/monitoring/interval", json!("1m"), false),
        ("/monitoring/labels/release", json!("other"), false),
        ("/monitoring/podMonitor", json!(false), false),
        ("/monitoring/logLevel", json!("debug"), true),
        ("/monitoring/otlpEndpoint", Value::Null, true),
        ("/analytics/url", json!("https://api.mixpanel.com"), true),
        ("/pod/resources/limits/memory", json!("2Gi"), true),
        ("/pod/annotations/example.com~1team", json!("other"), true),
        ("/pod/priorityClassName", Value::Null, true),
        ("/paused", json!(true), false),
    ]
}

fn changed(of: &PresenceCluster, parts: &[(&str, Value, bool)]) -> PresenceCluster {
    let mut spec = serde_json::to_value(&of.spec).unwrap();
    for (at, value, _) in parts {
        // A part that an earlier change took away is gone.
        if let Some(place) = spec.pointer_mut(at) {
            *place = value.clone();
        }
    }
    PresenceCluster { spec: serde_json::from_value(spec).unwrap(), ..of.clone() }
}

#[test]
fn pods_start_anew_for_what_concerns_them_and_for_nothing_else() {
    let of = resource(FULL);
    let before = desired(&of);
    for change in changes() {
        let after = changed(&of, std::slice::from_ref(&change));
        assert_ne!(after.spec, of.spec, "{} is not changed", change.0);
        let after = desired(&after);
        assert_eq!(after.revision != before.revision, change.2, "{}", change.0);
        assert_eq!(after.config == before.config, !change.2, "{}", change.0);
    }
}

#[test]
fn every_part_of_a_spec_is_among_the_changes() {
    let spec = serde_json::to_value(resource(FULL).spec).unwrap();
    for part in spec.as_object().unwrap().keys() {
        let at = format!("/{part}");
        let is_there =
            changes().iter().any(|change| change.0 == at || change.0.starts_with(&format!("{at}/")));
        assert!(is_there, "nothing says whether pods start anew for spec.{part}");
    }
}

#[test]
fn a_secret_that_changed_is_a_revision_if_pods_read_it() {
    let of = resource(FULL);
    let with = |name: &str, key: &str| {
        let key = SecretKey { name: name.to_owned(), key: key.to_owned() };
        objects(&of, &Facts { secrets: [(key, "feed".to_owned())].into(), ..facts() }).unwrap().revision
    };
    let without = desired(&of).revision;
    for (name, key) in [
        ("academy-db", "url"),
        ("academy-db", "password"),
        ("authorities", "nats.pem"),
        ("academy-nats", "presence.creds"),
        ("academy-nats-tls", "tls.key"),
        ("partner-keys", "jwks.json"),
        ("mixpanel", "token"),
    ] {
        assert_ne!(with(name, key), without, "{name} {key}");
    }
    assert_eq!(with("academy-db-owner", "url"), without, "migrations alone read it");
    assert_eq!(with("academy-tls", "tls.crt"), without, "the Ingress alone reads it");
    let rotated = Facts { internal_secret: Some("feed".to_owned()), ..facts() };
    assert_ne!(objects(&of, &rotated).unwrap().revision, without);
}

#[test]
fn where_the_operator_is_and_what_it_finds_is_no_revision() {
    let of = resource(FULL);
    let elsewhere = OperatorPods { namespace: "elsewhere".to_owned(), ..OperatorPods::default() };
    let mut other = Facts { operator: Some(elsewhere), ..facts() };
    other.kinds.pod_monitor = false;
    other.ports.database = Some(1);
    assert_eq!(objects(&of, &other).unwrap().revision, desired(&of).revision);
}

#[test]
fn a_cluster_of_ipv6_is_listened_on_by_ipv6() {
    for of in both() {
        let six = objects(&of, &Facts { family: Family::Ipv6, ..facts() }).unwrap();
        assert!(super::fixture::settings_text(&six).contains("addr: \"[::]:8080\""));
        let pod = &super::fixture::template(&six.deployment)["spec"]["containers"][0];
        assert_eq!(pod["env"][3]["value"], "[$(POD_IP)]:8081");
    }
    assert_eq!(Family::of_service_host("fd00::1"), Family::Ipv6);
    assert_eq!(Family::of_service_host("10.96.0.1"), Family::Ipv4);
}

#[test]
fn the_revision_names_what_belongs_to_it() {
    for of in both() {
        let desired = desired(&of);
        let (name, revision) = (of.metadata.name.as_deref().unwrap(), &desired.revision.0);
        assert!(revision.len() == 10 && revision.bytes().all(|b| b.is_ascii_hexdigit()), "{revision}");
        find(&desired, "Deployment", &format!("{name}-{revision}"));
        find(&desired, "ConfigMap", &format!("{name}-{revision}"));
        find(&desired, "Job", &format!("{name}-migrate-{revision}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever came before: a spec has its objects, and pods start anew only where one of the changes is of that sort.
    #[test]
    fn the_same_spec_gives_the_same_objects_by_any_way(steps in prop::collection::vec(select(changes()), 0..6)) {
        let of = resource(FULL);
        let after = changed(&of, &steps);
        let read: PresenceCluster = serde_json::from_str(&serde_json::to_string(&after).unwrap()).unwrap();
        let (one, other) = (desired(&after), desired(&read));
        prop_assert_eq!(&one, &other);
        if steps.iter().all(|step| !step.2) {
            prop_assert_eq!(&one.revision, &desired(&of).revision);
        }
        if after.spec == of.spec {
            prop_assert_eq!(&one, &desired(&of));
        }
    }
}
