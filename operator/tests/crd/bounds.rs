//! What the schema admits, the server takes: its own bounds are read from its own schema.

use kube::core::cel::apply_defaults;
use serde_json::Value;

use crate::document::{least, schema};

/// Our field, and the server's setting that it becomes.
const NUMBERS: [(&str, &str); 9] = [
    ("database.maxConnections", "store.max_connections"),
    ("nats.stream.replicas", "bus.replicas"),
    ("doors.maxConnections", "public.max_connections"),
    ("doors.native.queueBytes", "native.queue_bytes"),
    ("doors.native.framesPerSecond", "native.frames_per_second"),
    ("doors.native.maxMessage", "native.max_message"),
    ("doors.socketio.maxPayload", "socketio.max_payload"),
    ("doors.socketio.maxPolling", "socketio.max_polling"),
    ("doors.socketio.seats", "socketio.seats"),
];

/// Both are one value when nothing is said.
const SAME_DEFAULTS: [(&str, &str); 11] = [
    ("database.maxConnections", "store.max_connections"),
    ("nats.stream.name", "bus.stream"),
    ("nats.stream.replicas", "bus.replicas"),
    ("nats.stream.maxAge", "bus.max_age"),
    ("drain.agentsPerSecond", "session.drain_rate"),
    ("timings.leaveGrace", "session.leave_grace"),
    ("timings.returnWindow", "session.return_window"),
    ("timings.leaseTtl", "session.lease_ttl"),
    ("timings.leaseRenew", "session.lease_renew"),
    ("monitoring.logLevel", "log.level"),
    ("redis.keyPrefix", "redis.key_prefix"),
];

fn settings() -> Value {
    serde_json::from_str(include_str!("../../../docs/config.schema.json")).unwrap()
}

fn at<'a>(schema: &'a Value, path: &str) -> &'a Value {
    let found = path.split('.').fold(schema, |schema, step| &schema["properties"][step]);
    assert!(found.is_object(), "there is no {path}");
    found
}

#[test]
fn numbers_are_within_the_servers_own() {
    let (ours, settings) = (schema(), settings());
    for (field, key) in NUMBERS.into_iter().chain([("drain.agentsPerSecond", "session.drain_rate")]) {
        let (ours, theirs) = (at(&ours["properties"]["spec"], field), at(&settings, key));
        let number = |schema: &Value, bound: &str| schema[bound].as_f64().unwrap();
        assert!(number(ours, "minimum") >= number(theirs, "minimum"), "{field} goes below {key}");
        assert!(number(ours, "maximum") <= number(theirs, "maximum"), "{field} goes above {key}");
    }
}

/// The server compares these with others, which the spec has no words for: they keep their defaults.
#[test]
fn numbers_fit_the_settings_that_they_are_compared_with() {
    let (ours, settings) = (schema(), settings());
    let bound = |field: &str, bound: &str| at(&ours["properties"]["spec"], field)[bound].as_f64().unwrap();
    let default = |key: &str| at(&settings, key)["default"].as_f64().unwrap();
    assert!(bound("doors.native.maxMessage", "minimum") >= default("native.max_message_before_auth"));
    assert!(bound("doors.native.framesPerSecond", "maximum") <= default("native.frames_burst"));
    assert!(bound("doors.socketio.maxPayload", "minimum") >= default("socketio.max_payload_before_auth"));
}

#[test]
fn what_is_not_said_is_what_the_server_takes_for_granted() {
    let settings = settings();
    let mut document = least();
    document["spec"]["redis"] = serde_json::json!({ "urlSecret": { "name": "redis", "key": "url" } });
    let spec = &apply_defaults(&schema(), &document)["spec"];
    for (field, key) in SAME_DEFAULTS {
        let ours = field.split('.').fold(spec, |value, step| &value[step]);
        assert_eq!(ours, &at(&settings, key)["default"], "{field}");
    }
}
