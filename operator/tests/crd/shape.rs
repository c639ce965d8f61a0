//! What the schema is like as a whole: described, bounded, with every default, and small enough for Helm.

use std::collections::BTreeSet;

use kube::core::cel::apply_defaults;
use presence_operator::crd::{self, ConditionType, PresenceCluster, Reason};
use serde_json::{Value, json};

use crate::document::{each_schema, full, least, schema};

/// Below these are Kubernetes' own types. Each is an object or a list with bounds of its own.
const FOREIGN: [&str; 6] = [
    "spec.networkPolicy.backing",
    "spec.networkPolicy.clients",
    "spec.networkPolicy.monitoring",
    "spec.pod.affinity",
    "spec.pod.resources",
    "spec.pod.tolerations",
];

fn is_foreign(path: &str) -> bool {
    FOREIGN.iter().any(|place| path.starts_with(place) && path != *place)
}

fn wrong(mut says: impl FnMut(&str, &Value) -> Option<&'static str>) -> Vec<String> {
    let mut found = Vec::new();
    each_schema(&schema(), "", &mut |path, schema| {
        found.extend(says(path, schema).map(|what| format!("{path}: {what}")));
    });
    found
}

#[test]
fn every_field_is_described() {
    let undescribed = wrong(|path, schema| {
        // Entries of a plain list or map are what the list's own description says.
        let plain = (path.ends_with("[]") || path.ends_with("{}")) && schema["type"] != "object";
        let described =
            schema["description"].as_str().is_some_and(|text| text.len() > 5 && !text.contains('\n'));
        (!plain && !path.ends_with("{}") && !described).then_some("no description")
    });
    assert_eq!(undescribed, Vec::<String>::new());
}

#[test]
fn nothing_unknown_is_kept_and_no_null_is() {
    let loose = wrong(|_, schema| {
        let keys = ["x-kubernetes-preserve-unknown-fields", "nullable", "anyOf", "oneOf", "not"];
        keys.into_iter().find(|key| !schema[key].is_null())
    });
    assert_eq!(loose, Vec::<String>::new());
    let untyped = wrong(|_, schema| {
        let any = schema["x-kubernetes-int-or-string"] == true;
        (schema["type"].as_str().is_none() && !any).then_some("neither a type nor a number or text")
    });
    assert_eq!(untyped, Vec::<String>::new());
}

#[test]
fn everything_that_is_asked_for_has_a_bound() {
    let unbounded = wrong(|path, schema| {
        if !path.starts_with("spec") {
            return None;
        }
        let missing = |key: &str| schema[key].is_null();
        match schema["type"].as_str() {
            Some("string") if missing("enum") && missing("maxLength") => Some("text without a maxLength"),
            Some("array") if missing("maxItems") => Some("a list without maxItems"),
            Some("array") if missing("x-kubernetes-list-type") => Some("neither set, map nor atomic"),
            Some("object") if missing("properties") && missing("maxProperties") => {
                Some("a map without a bound")
            }
            Some("integer") if !is_foreign(path) && (missing("minimum") || missing("maximum")) => {
                Some("a number without minimum and maximum")
            }
            None if missing("maxLength") => Some("a quantity without a bound"),
            _ => None,
        }
    });
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn references_stay_in_the_namespace() {
    // A namespace of what an authorisation service knows, not one of Kubernetes.
    const NO_REFERENCE: &str = "spec.auth.authz.namespace";
    let leaving = wrong(|path, _| {
        let last = path.rsplit('.').next().unwrap_or_default();
        let names = ["namespace", "namespaces", "namespaceSelector"].contains(&last);
        // Whose connections are let through is no reference.
        let peer = path.starts_with("spec.networkPolicy.");
        (names && !peer && path != NO_REFERENCE).then_some("names objects elsewhere")
    });
    assert_eq!(leaving, Vec::<String>::new());
}

#[test]
fn privilege_cannot_be_asked_for() {
    let mut of_pod = BTreeSet::new();
    let schema = schema();
    for name in schema["properties"]["spec"]["properties"]["pod"]["properties"].as_object().unwrap().keys() {
        of_pod.insert(name.as_str());
    }
    let closed = [
        "affinity",
        "annotations",
        "labels",
        "nodeSelector",
        "priorityClassName",
        "resources",
        "spread",
        "tolerations",
    ];
    assert_eq!(
        of_pod,
        closed.into(),
        "a new field of pod: can a pod get more with it than `restricted` allows?"
    );
}

#[test]
fn the_schema_has_every_default_of_the_code() {
    let read: PresenceCluster = serde_json::from_value(least()).unwrap();
    let of_the_code = serde_json::to_value(&read).unwrap();
    assert_eq!(apply_defaults(&schema(), &least()), of_the_code);
    // Where a part of a section is given, the rest of it comes from the fields' own defaults.
    let mut some = least();
    some["spec"]["drain"] = json!({ "onDelete": true });
    some["spec"]["doors"] = json!({ "native": {}, "socketio": { "enabled": false } });
    some["spec"]["route"] = json!({ "ingress": { "host": "a.example" } });
    some["spec"]["autoscaling"] = json!({ "minReplicas": 1, "maxReplicas": 2 });
    let read: PresenceCluster = serde_json::from_value(some.clone()).unwrap();
    assert_eq!(apply_defaults(&schema(), &some), serde_json::to_value(&read).unwrap());
}

#[test]
fn a_full_resource_has_every_field_and_is_read_whole() {
    let full = full();
    let mut given = BTreeSet::new();
    paths(&full["spec"], "spec", &mut given);
    // They exclude others, which are there.
    let absent = ["spec.nats.credentialsSecret", "spec.nats.tokenSecret", "spec.route.gateway"];
    let missing = wrong(|path, _| {
        let excluded = absent.iter().any(|place| path.starts_with(place));
        let looked_at = path.starts_with("spec") && !is_foreign(path) && !excluded;
        (looked_at && !given.contains(path)).then_some("is not in full.yaml")
    });
    assert_eq!(missing, Vec::<String>::new());
    let read: PresenceCluster = serde_json::from_value(full.clone()).unwrap();
    let mut written = serde_json::to_value(&read).unwrap();
    // A whole number is as good as its text.
    assert_eq!(written["spec"]["pod"]["resources"]["limits"]["cpu"], "2");
    written["spec"]["pod"]["resources"]["limits"]["cpu"] = 2.into();
    assert_eq!(written["spec"], apply_defaults(&schema(), &full)["spec"]);
}

fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    for (key, below) in value.as_object().into_iter().flatten() {
        found.insert(format!("{path}{{}}"));
        paths(below, &format!("{path}.{key}"), found);
    }
    for below in value.as_array().into_iter().flatten() {
        paths(below, &format!("{path}[]"), found);
    }
}

#[test]
fn kubectl_shows_what_matters_and_can_scale() {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    assert_eq!(definition["metadata"]["name"], "presenceclusters.presence.rs");
    assert_eq!(definition["spec"]["scope"], "Namespaced");
    assert_eq!(definition["spec"]["names"]["shortNames"], json!(["pc", "presence"]));
    let version = &definition["spec"]["versions"][0];
    assert_eq!(version["name"], "v1alpha1");
    let columns: Vec<_> = version["additionalPrinterColumns"].as_array().unwrap().iter().collect();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ready", "Desired", "Serving", "Draining", "Agents", "Revision", "Age"]);
    for column in columns {
        let path = column["jsonPath"].as_str().unwrap();
        if let Some((_, field)) =
            path.split_once(".status.").filter(|(_, field)| !field.starts_with("conditions"))
        {
            assert!(
                version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"][field].is_object(),
                "{path}"
            );
        }
    }
    let scale = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.serving",
        "labelSelectorPath": ".status.selector",
    });
    assert_eq!(version["subresources"], json!({ "status": {}, "scale": scale }));
}

#[test]
fn conditions_and_pods_are_known_by_their_keys() {
    let schema = schema();
    for (list, key) in [("conditions", "type"), ("pods", "name")] {
        let list = &schema["properties"]["status"]["properties"][list];
        assert_eq!(list["x-kubernetes-list-type"], "map");
        assert_eq!(list["x-kubernetes-list-map-keys"], json!([key]));
        assert!(list["items"]["required"].as_array().unwrap().contains(&key.into()));
    }
}

/// The API server keeps what was applied in an annotation of 256 KiB, and Helm a release in a Secret of 1 MiB.
#[test]
fn the_file_is_small_and_the_same_each_time() {
    let yaml = crd::yaml();
    assert!(yaml.len() < 200 * 1024, "{} bytes", yaml.len());
    assert_eq!(yaml, crd::yaml());
    assert!(yaml.starts_with("# Generated by "), "{yaml}");
    let read: Value = serde_saphyr::from_str(&yaml).unwrap();
    let written = serde_json::to_string(&crd::definition()).unwrap();
    assert!(written.len() < 200 * 1024, "{} bytes", written.len());
    assert_eq!(read, serde_json::from_str::<Value>(&written).unwrap());
}

#[test]
fn conditions_and_reasons_print_as_kubernetes_takes_them() {
    let names = ConditionType::ALL.map(ConditionType::as_str).into_iter();
    for name in names.chain(Reason::ALL.map(Reason::as_str)) {
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
    }
    assert_eq!(serde_json::to_value(Reason::SecretNotFound).unwrap(), Reason::SecretNotFound.as_str());
    assert_eq!(ConditionType::GracePeriodSufficient.to_string(), "GracePeriodSufficient");
}
