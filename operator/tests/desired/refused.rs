//! What cannot be served is said with its field, and makes no objects.

use presence_operator::{crd::PresenceCluster, desired::objects};
use serde_json::{Value, json};

use super::fixture::{FULL, facts, resource};

/// What is wrong, where it stands, its value, and the field that the refusal names.
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/metadata/name", json!("9lives"), "metadata.name"),
        ("/metadata/name", json!("a.b"), "metadata.name"),
        ("/metadata/name", json!("a-"), "metadata.name"),
        ("/metadata/name", json!("a".repeat(45)), "metadata.name"),
        ("/spec/image/digest", Value::Null, "spec.image"),
        ("/spec/redis", Value::Null, "spec.doors.socketio.enabled"),
        (
            "/spec/service/loadBalancerSourceRanges/0",
            json!("10.0.0.0"),
            "spec.service.loadBalancerSourceRanges[0]",
        ),
        (
            "/spec/service/loadBalancerSourceRanges/0",
            json!("10.0.0.0/33"),
            "spec.service.loadBalancerSourceRanges[0]",
        ),
        ("/spec/doors/trustedProxies/1", json!("fd00::/129"), "spec.doors.trustedProxies[1]"),
        ("/spec/doors/trustedProxies/1", json!("fd00::/+8"), "spec.doors.trustedProxies[1]"),
        (
            "/spec/networkPolicy/backing/0/ipBlock/cidr",
            json!("all"),
            "spec.networkPolicy.backing[0].ipBlock.cidr",
        ),
        (
            "/spec/networkPolicy/backing/0/ipBlock/except",
            json!(["10.20.1.0/24", "x"]),
            "spec.networkPolicy.backing[0].ipBlock.except[1]",
        ),
        ("/spec/networkPolicy/clients/0", json!({}), "spec.networkPolicy.clients[0]"),
        ("/spec/pod/resources/limits/memory", json!("1gb"), "spec.pod.resources.limits.memory"),
        ("/spec/pod/resources/requests/memory", json!("2Gi"), "spec.pod.resources.requests.memory"),
        ("/spec/pod/resources/claims", json!([{"name": "gpu"}]), "spec.pod.resources.claims"),
        ("/spec/pod/labels/presence.rs~1revision", json!("x"), "spec.pod.labels"),
        ("/spec/pod/labels/app.kubernetes.io~1instance", json!("x"), "spec.pod.labels"),
        ("/spec/pod/labels/pod-template-hash", json!("x"), "spec.pod.labels"),
        ("/spec/pod/annotations/presence.rs~1secrets", json!("x"), "spec.pod.annotations"),
        (
            "/spec/pod/annotations/container.apparmor.security.beta.kubernetes.io~1presence",
            json!("unconfined"),
            "spec.pod.annotations",
        ),
        ("/spec/monitoring/labels/app.kubernetes.io~1name", json!("x"), "spec.monitoring.labels"),
        ("/spec/service/annotations/presence.rs~1x", json!("x"), "spec.service.annotations"),
        ("/spec/route/ingress/annotations/presence.rs~1x", json!("x"), "spec.route.ingress.annotations"),
    ]
}

/// Puts a value where the pointer leads, in a map that need not have it yet.
fn put(of: &PresenceCluster, pointer: &str, value: Value) -> PresenceCluster {
    let mut whole = serde_json::to_value(of).unwrap();
    whole["spec"]["doors"]["socketio"]["enabled"] = true.into();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match whole.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        entries => entries[&key.replace("~1", "/")] = value,
    }
    serde_json::from_value(whole).unwrap()
}

#[test]
fn what_cannot_be_served_is_refused_by_its_field() {
    let of = resource(FULL);
    objects(&put(&of, "/spec/replicas", json!(2)), &facts()).unwrap();
    for (pointer, value, field) in wrong() {
        let refusal = objects(&put(&of, pointer, value.clone()), &facts()).expect_err(pointer);
        assert_eq!(refusal.field(), field, "{pointer} {value}: {refusal}");
        assert!(refusal.to_string().starts_with(&format!("{field}: ")), "{refusal}");
    }
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let refusal =
        |pointer: &str, value| objects(&put(&resource(FULL), pointer, value), &facts()).unwrap_err();
    assert_eq!(
        refusal("/spec/pod/resources/requests/memory", json!("2048Mi")).to_string(),
        "spec.pod.resources.requests.memory: 2Gi is more than the limit of 1536Mi"
    );
    assert_eq!(
        refusal("/spec/pod/labels/presence.rs~1revision", json!("x")).to_string(),
        "spec.pod.labels: presence.rs/revision is the operator's to set; take it out"
    );
}
