//! Kubernetes' own types in our schema: what a pod may not have is taken out, everything is bounded, and of each
//! description the first sentence stays, for a release of the chart must fit into a Secret.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::{patterns, rules};

const MOST_ITEMS: u64 = 32;
const MOST_TEXT: u64 = 253;

/// What is asked of a node and what is the most, without the claims of devices.
pub(super) fn resources(schema: &mut Schema) {
    let object = schema.ensure_object();
    trim(object);
    without(object, &["claims"]);
    for name in ["limits", "requests"] {
        let Some(Value::Object(list)) = property(object, name) else { continue };
        list.insert("maxProperties".to_owned(), 3.into());
        let amount = json!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 22,
            "minimum": 0,
            "pattern": patterns::QUANTITY,
        });
        list.insert("additionalProperties".to_owned(), amount);
        let rule = "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])";
        let message = "holds what a pod of ours cannot use: only cpu, memory and ephemeral-storage";
        list.insert("x-kubernetes-validations".to_owned(), json!([{ "rule": rule, "message": message }]));
    }
    let rule = "!has(self.limits) || !has(self.requests) || self.requests.all(k, !(k in self.limits) \
        || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)";
    let message = "more is requested than the limit allows: lower requests, or raise limits";
    rules::add(schema, json!({ "rule": rule, "message": message, "fieldPath": ".requests" }));
}

/// Taints that are put up with.
pub(super) fn tolerations(schema: &mut Schema) {
    let object = schema.ensure_object();
    trim(object);
    let Some(Value::Object(item)) = object.get_mut("items") else { return };
    choice(item, "operator", &["Exists", "Equal"]);
    choice(item, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

/// Where pods want to be: beside pods of their own namespace only.
pub(super) fn affinity(schema: &mut Schema) {
    let object = schema.ensure_object();
    trim(object);
    visit(object, &mut |object| {
        without(object, &["namespaces", "namespaceSelector"]);
        if let Some(Value::Object(weight)) = property(object, "weight") {
            weight.insert("minimum".to_owned(), 1.into());
            weight.insert("maximum".to_owned(), 100.into());
        }
        requirement(object);
    });
    operators(object.get_mut("properties").and_then(|all| all.get_mut("nodeAffinity")));
}

/// Who is at the other end of a connection: a network, or pods by their labels and those of their namespaces.
pub(super) fn peers(schema: &mut Schema) {
    let object = schema.ensure_object();
    trim(object);
    visit(object, &mut requirement);
    let Some(Value::Object(item)) = object.get_mut("items") else { return };
    let rule = "has(self.ipBlock) ? !has(self.podSelector) && !has(self.namespaceSelector) \
        : has(self.podSelector) || has(self.namespaceSelector)";
    let message = "must be either an ipBlock, or a podSelector, a namespaceSelector or both";
    item.insert("x-kubernetes-validations".to_owned(), json!([{ "rule": rule, "message": message }]));
    let Some(Value::Object(block)) = property(item, "ipBlock") else { return };
    let rule = "isCIDR(self.cidr) && (!has(self.except) || self.except.all(e, isCIDR(e) && cidr(self.cidr).containsCIDR(e)))";
    let message =
        "must hold networks in CIDR notation, such as 10.0.0.0/8, and except only those within cidr";
    let checks = json!([{ "rule": rule, "message": message, "fieldPath": ".cidr" }]);
    block.insert("x-kubernetes-validations".to_owned(), checks);
}

/// Bounds everything, and shortens what is said of all that is below: of the field itself we say ourselves what it is.
fn trim(object: &mut Map<String, Value>) {
    let ours = object.get("description").cloned();
    visit(object, &mut |object| {
        if let Some(Value::String(text)) = object.get_mut("description") {
            *text = first_sentence(text);
        }
        let kind = object.get("type").cloned().unwrap_or_default();
        let is =
            |name: &str| kind == name || kind.as_array().is_some_and(|all| all.iter().any(|one| one == name));
        if is("array") {
            object.entry("maxItems").or_insert_with(|| MOST_ITEMS.into());
            object.entry("x-kubernetes-list-type").or_insert_with(|| "atomic".into());
        } else if is("string") {
            object.entry("maxLength").or_insert_with(|| MOST_TEXT.into());
        } else if is("object") && object.contains_key("additionalProperties") {
            object.entry("maxProperties").or_insert_with(|| MOST_ITEMS.into());
        }
    });
    if let Some(ours) = ours {
        object.insert("description".to_owned(), ours);
    }
}

fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.match_indices(". ").map(|(at, _)| at).find(|at| {
        let before = &text[..*at];
        !before.ends_with("e.g") && !before.ends_with("i.e")
    });
    match end {
        Some(at) => text[..=at].to_owned(),
        None => text,
    }
}

/// A selector's requirement on a label.
fn requirement(object: &mut Map<String, Value>) {
    let Some(Value::Object(all)) = object.get("properties") else { return };
    if all.contains_key("key") && all.contains_key("operator") && all.contains_key("values") {
        choice(object, "operator", &["In", "NotIn", "Exists", "DoesNotExist"]);
    }
}

/// A node's labels can be compared as numbers, too.
fn operators(node_affinity: Option<&mut Value>) {
    let Some(Value::Object(object)) = node_affinity else { return };
    visit(object, &mut |object| {
        let Some(Value::Object(all)) = object.get("properties") else { return };
        if all.contains_key("key") && all.contains_key("operator") {
            choice(object, "operator", &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]);
        }
    });
}

fn choice(object: &mut Map<String, Value>, name: &str, choices: &[&str]) {
    if let Some(Value::Object(property)) = property(object, name) {
        property.insert("enum".to_owned(), json!(choices));
        property.remove("maxLength");
    }
}

fn property<'a>(object: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Value> {
    object.get_mut("properties").and_then(|all| all.get_mut(name))
}

fn without(object: &mut Map<String, Value>, names: &[&str]) {
    if let Some(Value::Object(all)) = object.get_mut("properties") {
        all.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Calls for each schema below, the innermost first.
fn visit(object: &mut Map<String, Value>, each: &mut impl FnMut(&mut Map<String, Value>)) {
    if let Some(Value::Object(all)) = object.get_mut("properties") {
        all.values_mut().filter_map(Value::as_object_mut).for_each(|below| visit(below, each));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(Value::Object(below)) = object.get_mut(name) {
            visit(below, each);
        }
    }
    each(object);
}
