//! The rules, each with what breaks it and what keeps it. Patches are of the least resource.

use serde_json::{Map, Value, json};

mod backing;
mod network;
mod serving;
mod workload;

pub(crate) struct Pair {
    /// Where the API server says it is wrong.
    pub(crate) at: &'static str,
    /// Where the rule stands, if it points at a field below.
    pub(crate) schema: Option<&'static str>,
    /// What of the message no other rule of that place says.
    pub(crate) says: &'static str,
    pub(crate) refused: Value,
    pub(crate) accepted: Value,
    /// What the resource was before, for a rule about changes.
    pub(crate) before: Option<Value>,
}

/// A length of time, and what is below its least and above its most.
pub(crate) struct Length {
    pub(crate) at: &'static str,
    pub(crate) least: &'static str,
    pub(crate) most: &'static str,
    pub(crate) outside: &'static [&'static str],
}

const fn length(
    at: &'static str,
    least: &'static str,
    most: &'static str,
    outside: &'static [&'static str],
) -> Length {
    Length { at, least, most, outside }
}

pub(crate) const LENGTHS: &[Length] = &[
    length("spec.auth.issuers[].leeway", "0s", "1m", &["61s", "1h"]),
    length("spec.nats.stream.maxAge", "10m", "365d", &["599s", "0d", "366d", "8761h"]),
    length("spec.timings.leaveGrace", "0s", "5m", &["300001ms"]),
    length("spec.timings.returnWindow", "0s", "5m", &["6m"]),
    length("spec.timings.leaseTtl", "1s", "5m", &["999ms", "1h"]),
    length("spec.timings.leaseRenew", "100ms", "149s", &["99ms", "150s"]),
    length("spec.drain.deadline", "0s", "3589s", &["3590s", "1h"]),
    length("spec.drain.preStop", "0s", "10m", &["601s"]),
    length("spec.rollout.progressDeadline", "30s", "1d", &["29s", "0s", "25h"]),
    length("spec.autoscaling.scaleDownAfter", "0s", "1h", &["61m"]),
    length("spec.monitoring.interval", "1s", "1h", &["0s", "2h"]),
];

/// A rule that stands where it points.
fn here(at: &'static str, says: &'static str, refused: Value, accepted: Value) -> Pair {
    Pair { at, schema: None, says, refused, accepted, before: None }
}

/// A rule of `schema` that points at `at`.
fn below(
    schema: &'static str,
    at: &'static str,
    says: &'static str,
    [refused, accepted]: [Value; 2],
) -> Pair {
    Pair { at, schema: Some(schema), says, refused, accepted, before: None }
}

fn change(pair: Pair, before: Value) -> Pair {
    Pair { before: Some(before), ..pair }
}

fn spec(patch: Value) -> Value {
    Map::from_iter([("spec".to_owned(), patch)]).into()
}

pub(crate) fn pairs() -> Vec<Pair> {
    [whole(), backing::pairs(), serving::pairs(), network::pairs(), workload::pairs()]
        .into_iter()
        .flatten()
        .collect()
}

fn whole() -> Vec<Pair> {
    let redis = json!({ "urlSecret": { "name": "redis", "key": "url" } });
    let name = |name: &str| json!({ "metadata": { "name": name } });
    let closed =
        |socketio: Value| spec(json!({ "doors": { "native": { "enabled": false }, "socketio": socketio } }));
    let scaled = |resources: Value| {
        let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 2 });
        spec(json!({ "autoscaling": autoscaling, "pod": { "resources": resources } }))
    };
    let mut with_redis = closed(json!({}));
    with_redis["spec"]["redis"] = redis.clone();
    let mut both_closed = closed(json!({ "enabled": false }));
    both_closed["spec"]["redis"] = redis.clone();
    let enabled = json!({ "socketio": { "enabled": true } });
    let cpu = "must request cpu";
    let at = "spec.pod.resources";
    vec![
        here("", "metadata.name must have", name(&"a".repeat(41)), name(&"a".repeat(40))),
        here("", "metadata.name must have", name("1school"), name("school-1")),
        here("", "metadata.name must have", name("school.example"), name("s")),
        below("spec", "spec.doors", "no door is open", [closed(json!({})), with_redis]),
        below(
            "spec",
            "spec.doors",
            "no door is open",
            [both_closed, spec(json!({ "doors": { "socketio": { "enabled": false } }, "redis": redis }))],
        ),
        below(
            "spec",
            "spec.doors.socketio.enabled",
            "needs redis",
            [spec(json!({ "doors": enabled })), spec(json!({ "doors": enabled, "redis": redis }))],
        ),
        below(
            "spec",
            at,
            cpu,
            [scaled(json!({ "requests": { "memory": "1Gi" } })), scaled(json!({ "requests": { "cpu": 1 } }))],
        ),
        below(
            "spec",
            at,
            cpu,
            [
                scaled(json!({ "limits": { "memory": "1Gi" } })),
                scaled(json!({ "limits": { "cpu": "500m" } })),
            ],
        ),
        below(
            "spec.autoscaling",
            "spec.autoscaling.maxReplicas",
            "less than minReplicas",
            [
                spec(json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 2 } })),
                spec(json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 3 } })),
            ],
        ),
    ]
}
