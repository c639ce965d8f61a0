//! Whether a live object is already what ours asks for, so that nothing is written at rest. Pure.
//!
//! Three things speak for "already so": the hash of what was last applied, which the object carries in an annotation (it
//! reveals a field that we no longer ask for); that the live object contains all we ask for (it reveals what others changed);
//! and, where the API server writes a value in its own way, what it made of this very request the last time.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Carries the hash of what was applied.
pub const APPLIED: &str = "presence.rs/applied";

/// By what entries of a list are told apart, where others may add their own. In this order.
const KEYS: [&str; 6] = ["uid", "name", "mountPath", "containerPort", "port", "key"];

/// Whether `live` has everything that `desired` says. It may have more: defaults, and what others own.
pub fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, wanted)| match live.get(key) {
                Some(found) => contains(found, wanted),
                None => is_nothing(wanted),
            })
        }
        (Value::Array(live), Value::Array(desired)) => contains_list(live, desired),
        (Value::Number(live), Value::Number(desired)) => live == desired || live.as_f64() == desired.as_f64(),
        (live, desired) => live == desired,
    }
}

/// What the API server leaves out when it stores an object.
fn is_nothing(wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        _ => false,
    }
}

fn contains_list(live: &[Value], desired: &[Value]) -> bool {
    if live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| contains(live, desired))
    {
        return true;
    }
    // Others may have added to a list with keys, or to a set; a list of anything else is one value.
    if desired.is_empty() || live.len() < desired.len() {
        return false;
    }
    match KEYS.into_iter().find(|key| desired.iter().all(|entry| entry.get(*key).is_some())) {
        Some(key) => desired.iter().all(|wanted| {
            live.iter().any(|found| found.get(key) == wanted.get(key) && contains(found, wanted))
        }),
        None => false,
    }
}

/// The first 16 hex digits of the SHA-256 of a value, whatever the order of its keys.
pub fn hash(of: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, of);
    hasher.finalize().iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn feed(into: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            into.update(b"{");
            for key in keys {
                into.update(Value::from(key.as_str()).to_string());
                into.update(b":");
                feed(into, &map[key]);
            }
            into.update(b"}");
        }
        Value::Array(list) => {
            into.update(b"[");
            for entry in list {
                feed(into, entry);
                into.update(b",");
            }
            into.update(b"]");
        }
        scalar => into.update(scalar.to_string()),
    }
}

/// What is left of an object without what the API server counts and what controllers report: equal before and after whenever
/// nothing happened that concerns us.
pub fn substance(of: &Value) -> Value {
    let mut left = of.clone();
    if let Some(map) = left.as_object_mut() {
        map.remove("status");
        if let Some(meta) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for counted in ["resourceVersion", "generation", "managedFields"] {
                meta.remove(counted);
            }
        }
    }
    left
}

/// `value` with the hash of what it says as an annotation.
pub fn signed(value: &Value) -> Value {
    let mut signed = value.clone();
    let hash = hash(value);
    let meta = entry(&mut signed, "metadata");
    entry(meta, "annotations")[APPLIED] = Value::String(hash);
    signed
}

fn entry<'a>(of: &'a mut Value, key: &str) -> &'a mut Value {
    let slot = &mut of[key];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_additions_of_others_are_no_difference() {
        let desired = json!({
            "metadata": { "labels": { "a": "1" }, "ownerReferences": [{ "uid": "u1", "name": "x" }] },
            "spec": { "ports": [{ "name": "http", "port": 80 }], "ingress": [], "empty": {}, "none": null },
        });
        let live = json!({
            "metadata": {
                "labels": { "a": "1", "b": "2" },
                "ownerReferences": [{ "uid": "u0", "name": "y" }, { "uid": "u1", "name": "x", "controller": true }],
            },
            "spec": { "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }], "clusterIP": "10.0.0.1" },
        });
        assert!(contains(&live, &desired));
    }

    #[test]
    fn a_changed_missing_or_surplus_value_is_a_difference() {
        let live = json!({ "a": [1, 2], "b": { "c": "x" }, "d": [{ "name": "n", "v": 1 }], "e": ["x"] });
        for desired in [
            json!({ "a": [1] }),
            json!({ "a": [2, 1] }),
            json!({ "a": [1, 2, 3] }),
            json!({ "b": { "c": "y" } }),
            json!({ "b": { "d": "x" } }),
            json!({ "d": [{ "name": "n", "v": 2 }] }),
            json!({ "d": [{ "name": "m", "v": 1 }] }),
            json!({ "e": [] }),
            json!({ "b": [] }),
        ] {
            assert!(!contains(&live, &desired), "{desired}");
        }
    }

    #[test]
    fn the_hash_sees_values_and_not_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"x":[1,2],"y":null}}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":{"y":null,"x":[1,2]},"a":1}"#).unwrap();
        assert_eq!(hash(&one), hash(&other));
        assert_eq!(hash(&one).len(), 16);
        assert_ne!(hash(&one), hash(&json!({ "a": 1, "b": { "x": [2, 1], "y": null } })));
        assert_ne!(hash(&json!(["ab"])), hash(&json!(["a", "b"])));
        assert_ne!(hash(&json!({ "a": "1" })), hash(&json!({ "a": 1 })));
    }

    #[test]
    fn what_is_signed_contains_what_was_asked_for() {
        let desired = json!({ "metadata": { "name": "x" }, "spec": { "a": 1 } });
        let signed = signed(&desired);
        assert!(contains(&signed, &desired));
        assert_eq!(signed["metadata"]["annotations"][APPLIED], hash(&desired));
    }

    #[test]
    fn status_and_counters_are_no_substance() {
        let before = json!({ "metadata": { "name": "x", "resourceVersion": "1", "generation": 1 }, "spec": 1, "status": 1 });
        let after =
            json!({ "metadata": { "name": "x", "resourceVersion": "2", "generation": 2 }, "spec": 1 });
        assert_eq!(substance(&before), substance(&after));
        assert_ne!(substance(&before), substance(&json!({ "metadata": { "name": "x" }, "spec": 2 })));
    }
}
