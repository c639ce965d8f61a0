//! What the schema says beyond types: CEL rules, each with a message that says what to do and the field it is about, and
//! the bounds that several fields share.

use schemars::{Schema, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Period, patterns};

/// A CEL rule as it stands in the schema, under `x-kubernetes-validations`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    rule: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field_path: Option<&'static str>,
}

/// A rule about `field`, below the one that it stands at.
pub(super) const fn check(field: &'static str, rule: &'static str, message: &'static str) -> Check {
    Check { rule, message, field_path: Some(field) }
}

/// A rule about the very value that it stands at.
pub(super) const fn check_self(rule: &'static str, message: &'static str) -> Check {
    Check { rule, message, field_path: None }
}

const DAY: u64 = 86_400_000;

/// A length of time between two others: what the server, or the API server, takes there.
pub(super) fn within(least: Period, most: Period) -> impl FnMut(&mut Schema) {
    move |schema| {
        let long = most.as_millis() >= DAY;
        let hours = format!("{}h", most.as_millis() / 3_600_000);
        let (most_text, days) = (most.to_string(), most.as_millis() / DAY);
        // CEL knows no days.
        let top = if long { hours.as_str() } else { most_text.as_str() };
        let short = format!("duration(self) >= duration('{least}') && duration(self) <= duration('{top}')");
        let rule = if long {
            let number = "int(self.substring(0, self.size() - 1))";
            format!("self.endsWith('d') ? {number} >= 1 && {number} <= {days} : {short}")
        } else {
            short
        };
        let pattern = if long { patterns::LONG_PERIOD } else { patterns::PERIOD };
        schema.insert("pattern".to_owned(), pattern.into());
        schema.insert("maxLength".to_owned(), 8.into());
        add(schema, json!({ "rule": rule, "message": format!("must be between {least} and {most}") }));
    }
}

/// Keys that nobody but the operator and the control plane may set.
const OURS: &str = "k.startsWith('presence.rs/') || k.startsWith('app.kubernetes.io/')";

/// Labels of an object.
pub(super) fn labels(schema: &mut Schema) {
    map(schema, json!({ "type": "string", "maxLength": 63, "pattern": patterns::LABEL_VALUE }));
    add(schema, keys_fit());
    let rule =
        format!("self.all(k, !({OURS} || k == 'pod-template-hash' || k == 'controller-revision-hash'))");
    let message = "holds a label that is the operator's own: leave out presence.rs/*, app.kubernetes.io/*, \
        pod-template-hash and controller-revision-hash";
    add(schema, json!({ "rule": rule, "message": message }));
}

/// Labels by which something else is chosen.
pub(super) fn selector(schema: &mut Schema) {
    map(schema, json!({ "type": "string", "maxLength": 63, "pattern": patterns::LABEL_VALUE }));
    add(schema, keys_fit());
}

/// Annotations of an object.
pub(super) fn annotations(schema: &mut Schema) {
    map(schema, json!({ "type": "string", "maxLength": 8192 }));
    add(schema, keys_fit());
    let message =
        "holds an annotation that is the operator's own: leave out presence.rs/* and app.kubernetes.io/*";
    add(schema, json!({ "rule": format!("self.all(k, !({OURS}))"), "message": message }));
}

/// Annotations of a pod: not those by which it could get what `restricted` denies it, nor those of controllers.
pub(super) fn pod_annotations(schema: &mut Schema) {
    annotations(schema);
    let rule = "self.all(k, !(k.startsWith('kubernetes.io/') || k.startsWith('controller.kubernetes.io/') \
        || k.startsWith('deployment.kubernetes.io/') || k.contains('security.alpha.kubernetes.io') \
        || k.contains('security.beta.kubernetes.io') || k.startsWith('io.kubernetes.cri-o.')))";
    let message = "holds an annotation that changes what a pod is allowed, or how it is removed: leave out \
        kubernetes.io/*, controller.kubernetes.io/*, deployment.kubernetes.io/*, *.security.alpha.kubernetes.io/*, \
        *.security.beta.kubernetes.io/* and io.kubernetes.cri-o.*";
    add(schema, json!({ "rule": rule, "message": message }));
}

/// Networks in CIDR notation, each once.
pub(super) fn networks(schema: &mut Schema) {
    let rule =
        check_self("isCIDR(self)", "must be a network in CIDR notation, such as 10.0.0.0/8 or fd00::/8");
    set(schema, json!({ "type": "string", "maxLength": 49, "x-kubernetes-validations": [rule] }));
}

/// NATS servers, each once.
pub(super) fn servers(schema: &mut Schema) {
    let mut items = json_schema!({ "type": "string", "maxLength": 300, "pattern": patterns::NATS_SERVER });
    address(&mut items);
    set(schema, items.to_value());
}

/// Web origins as browsers write them, each once.
pub(super) fn origins(schema: &mut Schema) {
    let mut items = json_schema!({ "type": "string", "maxLength": 270, "pattern": patterns::ORIGIN });
    let rule = "!(self.startsWith('https://') && self.endsWith(':443')) \
        && !(self.startsWith('http://') && self.endsWith(':80')) && (!self.contains('[') \
        || isIP(self.substring(self.indexOf('[') + 1, self.indexOf(']'))) \
        && ip.isCanonical(self.substring(self.indexOf('[') + 1, self.indexOf(']'))))";
    let message = "must be as a browser writes it: without the port that goes without saying, and an IPv6 address \
        in its short form";
    add(&mut items, json!(check_self(rule, message)));
    set(schema, items.to_value());
    let message = "holds * beside others: leave out either it or them";
    add(schema, json!(check_self("self.size() < 2 || !('*' in self)", message)));
}

/// An IPv6 address in brackets is one. The pattern of URLs sees its characters only.
pub(super) fn address(schema: &mut Schema) {
    let rule = "!self.contains('[') || isIP(self.substring(self.indexOf('[') + 1, self.indexOf(']')))";
    add(schema, json!(check_self(rule, "must hold a whole IPv6 address between the brackets")));
}

fn set(schema: &mut Schema, items: Value) {
    schema.insert("items".to_owned(), items);
    schema.insert("x-kubernetes-list-type".to_owned(), "set".into());
}

fn keys_fit() -> Value {
    let rule = format!("self.all(k, k.size() <= 317 && k.matches('{}'))", patterns::LABEL_KEY);
    let message = "holds a key that is none: write it as name or prefix.example/name, with at most 63 characters after the slash";
    json!({ "rule": rule, "message": message })
}

fn map(schema: &mut Schema, values: Value) {
    schema.insert("additionalProperties".to_owned(), values);
    schema.insert("maxProperties".to_owned(), 32.into());
}

/// Adds a rule to those that are there.
pub(super) fn add(schema: &mut Schema, rule: Value) {
    let rules = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Value::Array(rules) = rules {
        rules.push(rule);
    }
}
