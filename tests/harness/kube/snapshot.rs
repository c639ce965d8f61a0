//! What an operator made of a resource, without what is another one each time: two that converged to the same are equal.

use super::{Kind, Place, objects::path};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Given by the API server or by chance, or different for each place.
const DROPPED: [&str; 17] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "status",
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
    "deployment.kubernetes.io/revision",
    "presence.rs/applied",
    "presence.rs/secrets",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// All that belongs to the cluster, by kind and name, and what is said of it. A revision is called `REVISION`.
pub async fn snapshot(place: &Place, cluster: &str) -> Result<BTreeMap<String, Value>> {
    let of = place.get(Kind::PresenceCluster, cluster).await?;
    let revision = path(&of, "/status/revision")?.as_str().unwrap_or_default().to_owned();
    let mut found = BTreeMap::new();
    for kind in Kind::OWNED {
        for object in place.list(kind, &format!("app.kubernetes.io/instance={cluster}")).await? {
            let mut value = serde_json::to_value(&object)?;
            if kind == Kind::Secret {
                let keys = value["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
                value["data"] = json!(keys);
            }
            let name = format!("{kind:?} {}", value["metadata"]["name"].as_str().unwrap_or_default());
            found.insert(name, value);
        }
    }
    let conditions = path(&of, "/status/conditions")?.as_array().cloned().unwrap_or_default();
    let conditions: Vec<_> =
        conditions.iter().map(|it| json!([it["type"], it["status"], it["reason"]])).collect();
    let said = json!({
        "conditions": conditions, "serving": of.data["status"]["serving"], "finalizers": of.metadata.finalizers,
    });
    found.insert("PresenceCluster".to_owned(), said);
    let same = |text: &str| {
        let text = text.replace(&place.namespace, "NAMESPACE").replace(&place.id, "ID");
        if revision.is_empty() { text } else { text.replace(&revision, "REVISION") }
    };
    Ok(found.into_iter().map(|(name, value)| (same(&name), strip(value, &same))).collect())
}

fn strip(value: Value, same: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, _)| !DROPPED.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (same(&key), strip(value, same))).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|value| strip(value, same)).collect()),
        Value::String(text) => Value::String(same(&text)),
        other => other,
    }
}

/// Where two of them differ first, for people.
pub fn difference(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> Option<String> {
    let (mut wanted, mut there) = (expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    if wanted != there {
        let common: Vec<_> = wanted.iter().filter(|name| there.contains(name)).copied().collect();
        wanted.retain(|name| !common.contains(name));
        there.retain(|name| !common.contains(name));
        return Some(format!("missing: {wanted:?}; too many: {there:?}"));
    }
    expected.iter().find_map(|(name, value)| deeper(name, value, &found[name]))
}

fn deeper(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                deeper(&format!("{at}.{key}"), a, b)
            })
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{at}: expected {a}, found {b}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_by_chance_does_not_count_and_all_else_does() {
        let one = json!({ "metadata": { "name": "a-x1", "uid": "1" }, "spec": { "list": ["x1", 2] } });
        let stripped = strip(one, &|text| text.replace("x1", "REVISION"));
        assert_eq!(
            stripped,
            json!({ "metadata": { "name": "a-REVISION" }, "spec": { "list": ["REVISION", 2] } })
        );
        let of = |value: Value| BTreeMap::from([("it".to_owned(), value)]);
        assert_eq!(difference(&of(stripped.clone()), &of(stripped.clone())), None);
        let other = difference(&of(stripped), &of(json!({ "metadata": { "name": "a-REVISION" } })));
        assert!(other.unwrap().contains("it.spec"));
        assert!(difference(&of(json!(1)), &BTreeMap::new()).unwrap().contains("missing"));
    }
}
