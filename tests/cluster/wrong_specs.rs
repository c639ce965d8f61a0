//! Specs that the API server refuses, and the field that its message names: each bound, pattern, list and rule of the
//! schema that a hand could get wrong. They are tried as dry runs, so that nothing comes of one that is let through.

mod rows;

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

/// What is wrong, the field that is named, and a merge patch of [`good`]'s spec.
pub(crate) struct Wrong(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

/// What changes: before, and after. The latter is wrong only because of the former.
pub(crate) struct WrongChange(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) &'static str,
);

const MANAGER: &str = "wrong-specs";

/// A spec that nothing is wrong with, changed by a patch.
fn with(name: &str, patch: &str) -> Result<Value> {
    let mut document = json!({
        "apiVersion": "presence.rs/v1alpha1",
        "kind": "PresenceCluster",
        "metadata": { "name": name },
        "spec": {
            // Nothing is to run, should one be let through.
            "paused": true,
            "replicas": 0,
            "image": { "repository": "registry.example/presence", "tag": "0.1.0" },
            "database": { "urlSecret": { "name": "database", "key": "url" } },
            "nats": { "urls": ["nats://nats:4222"] },
            "redis": { "urlSecret": { "name": "redis", "key": "url" } },
            "auth": { "issuers": [{ "audiences": ["school.example"], "jwksUrl": "https://id.example/jwks.json" }] },
        },
    });
    let patch = serde_json::from_str(patch).with_context(|| format!("no JSON: {patch}"))?;
    merge(&mut document["spec"], &patch);
    Ok(document)
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
        match (into.as_object_mut(), value) {
            (Some(object), Value::Null) => drop(object.remove(key)),
            _ => merge(&mut into[key], value),
        }
    }
}

/// Tries them all in the API's namespace: none may be let through, and each message must name its field.
pub(crate) async fn all_are_refused(api: &Api<DynamicObject>) -> Result<()> {
    let rows: Vec<_> = rows::all().collect();
    ensure!(rows.len() >= 100, "only {} specs are tried", rows.len());
    let right = attempt(api, &with("right", "{}")?).await;
    ensure!(right.is_ok(), "the spec that all are made of is refused: {right:?}");
    let mut complaints = Vec::new();
    for Wrong(what, field, patch) in rows {
        complaints.extend(complaint(what, field, attempt(api, &with("wrong", patch)?).await));
    }
    for (what, name) in rows::NAMES {
        complaints.extend(complaint(what, "metadata.name", attempt(api, &with(name, "{}")?).await));
    }
    for WrongChange(what, field, before, after) in rows::CHANGES {
        let name = "changed";
        let there = Patch::Apply(with(name, before)?);
        let params = PatchParams::apply(MANAGER).force();
        api.patch(name, &params, &there).await.with_context(|| format!("{what}: before"))?;
        complaints.extend(complaint(what, field, attempt(api, &with(name, after)?).await));
        api.delete(name, &DeleteParams::default()).await.with_context(|| format!("{what}: after"))?;
    }
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn complaint(what: &str, field: &str, said: Result<(), String>) -> Option<String> {
    match said {
        Ok(()) => Some(format!("{what}: let through")),
        Err(said) if names(&said, field) => None,
        Err(said) => Some(format!("{what}: the message does not name {field}: {said}")),
    }
}

/// Whether the very field is named, and not only one below it.
fn names(message: &str, field: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '[';
    message.match_indices(field).any(|(at, _)| !message[at + field.len()..].starts_with(goes_on))
}

/// A dry run that knows every field.
async fn attempt(api: &Api<DynamicObject>, document: &Value) -> Result<(), String> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    let params = PatchParams::apply(MANAGER).force().dry_run().validation_strict();
    api.patch(name, &params, &Patch::Apply(document)).await.map(drop).map_err(|error| error.to_string())
}
