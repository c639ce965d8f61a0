//! Every CEL rule of the schema, once kept and once broken. What breaks a rule breaks that one alone, so that the message
//! that people get is the rule's own.

use std::{collections::BTreeSet, sync::LazyLock};

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::{Value, json};

use crate::document::{each_schema, full, least, schema, with};
use crate::rules::pairs::{PERIODS, Pair, pairs};

mod pairs;

/// What is said of a document: where, and what.
fn complaints(document: &Value, before: Option<&Value>) -> BTreeSet<(String, String)> {
    static COMPILED: LazyLock<CompiledSchema> = LazyLock::new(|| compile_schema(&schema()));
    let Err(errors) = Validator::new().validate_compiled(&COMPILED, document, before) else {
        return BTreeSet::new();
    };
    errors.iter().map(|error| (without_indices(&error.field_path), error.message.clone())).collect()
}

/// `a[0].b` is `a[].b`.
fn without_indices(path: &str) -> String {
    path.split('[')
        .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join("[")
}

#[test]
fn a_broken_rule_is_named_and_no_other() {
    for Pair { at, says, refused, before, .. } in pairs() {
        let before = before.map(|patch| with(&patch));
        let said = complaints(&with(&refused), before.as_ref());
        let (place, message) = said.first().unwrap_or_else(|| panic!("{at}: nobody minds {refused}"));
        assert_eq!(said.len(), 1, "{refused}: {said:?}");
        assert_eq!(place, at, "{refused}: {said:?}");
        assert!(message.contains(says), "{refused}: {said:?}");
    }
}

#[test]
fn what_keeps_the_rules_is_accepted() {
    assert_eq!(complaints(&least(), None), BTreeSet::new());
    assert_eq!(complaints(&full(), None), BTreeSet::new());
    for Pair { at, accepted, before, .. } in pairs() {
        let before = before.map(|patch| with(&patch));
        assert_eq!(complaints(&with(&accepted), before.as_ref()), BTreeSet::new(), "{at}: {accepted}");
    }
}

#[test]
fn every_rule_of_the_schema_has_a_pair() {
    let mut rules = BTreeSet::new();
    each_schema(&schema(), "", &mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().expect("a rule without a message");
            rules.insert((path.to_owned(), message.to_owned()));
        }
    });
    assert!(rules.len() > 50, "{}", rules.len());
    let pairs = pairs();
    for (path, message) in rules {
        let tested = pairs.iter().any(|pair| {
            // A rule may point at a field below its own place.
            pair.schema.map_or(pair.at == path, |schema| schema == path) && message.contains(pair.says)
        });
        let period = PERIODS.iter().any(|(at, ..)| *at == path);
        assert!(tested || period, "{path}: no pair breaks and keeps {message:?}");
    }
}

#[test]
fn a_length_of_time_has_a_least_and_a_most() {
    for (path, least, most, below, above) in PERIODS {
        let said = |text: &str| complaints(&with(&at_path(path, text)), None);
        for text in [least, most] {
            assert_eq!(said(text), BTreeSet::new(), "{path} {text}");
        }
        for text in [*below, *above].into_iter().flatten() {
            let expected = format!("must be between {least} and {most}");
            assert!(said(text).contains(&((*path).to_owned(), expected)), "{path} {text}: {:?}", said(text));
        }
    }
}

/// A patch that sets one field, with what must be there so that no other rule is broken.
fn at_path(path: &str, text: &str) -> Value {
    let mut patch = match path {
        "spec.auth.issuers[].leeway" => {
            return json!({ "spec": { "auth": { "issuers": [
                { "audiences": ["a"], "jwksUrl": "https://a.example", "leeway": text },
            ] } } });
        }
        // Half of the most lease, and of the least.
        "spec.timings.leaseRenew" => json!({ "spec": { "timings": { "leaseTtl": "300s" } } }),
        "spec.timings.leaseTtl" => json!({ "spec": { "timings": { "leaseRenew": "100ms" } } }),
        "spec.drain.deadline" => json!({ "spec": { "drain": { "preStop": "0s" } } }),
        "spec.autoscaling.scaleDownAfter" => {
            json!({ "spec": { "autoscaling": { "minReplicas": 1, "maxReplicas": 2 } } })
        }
        _ => json!({}),
    };
    let mut value = &mut patch;
    for step in path.split('.') {
        value = &mut value[step];
    }
    *value = text.into();
    patch
}
