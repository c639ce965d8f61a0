//! The schema to look at, a small spec and a full one to change, and how to change them.

use presence_operator::crd;
use serde_json::{Value, json};

pub(crate) fn schema() -> Value {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The least that a resource says.
pub(crate) fn least() -> Value {
    json!({
        "apiVersion": "presence.rs/v1alpha1",
        "kind": "PresenceCluster",
        "metadata": { "name": "school" },
        "spec": {
            "image": { "repository": "registry.example/presence", "tag": "0.1.0" },
            "database": { "urlSecret": { "name": "presence-database", "key": "url" } },
            "nats": { "urls": ["nats://nats:4222"] },
            "auth": { "issuers": [
                { "audiences": ["school.example"], "jwksUrl": "https://id.school.example/jwks.json" },
            ] },
        },
    })
}

/// Every field that a resource can have, but for those that exclude these.
pub(crate) fn full() -> Value {
    serde_saphyr::from_str(include_str!("full.yaml")).unwrap()
}

/// [`least`], changed by a merge patch.
pub(crate) fn with(patch: &Value) -> Value {
    let mut document = least();
    merge(&mut document, patch);
    document
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}

/// Calls for each schema with its path: `spec.auth.issuers[]`, `spec.pod.labels{}`.
pub(crate) fn each_schema(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        each_schema(below, &path, see);
    }
    for (field, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[field].is_object() {
            each_schema(&schema[field], &format!("{path}{mark}"), see);
        }
    }
}
