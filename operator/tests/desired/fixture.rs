//! Two resources, the smallest and one that says all there is to say, with what is known of their clusters.

use presence_operator::{
    crd::PresenceCluster,
    desired::{Desired, objects},
    facts::{Facts, Kinds, OperatorPods, Ports},
    object::Object,
};
use serde_json::Value;

pub(crate) const SMALLEST: &str = include_str!("../golden/smallest.spec.yaml");
pub(crate) const FULL: &str = include_str!("../golden/full.spec.yaml");

/// As an API server has it.
pub(crate) fn resource(text: &str) -> PresenceCluster {
    let mut of: PresenceCluster = serde_saphyr::from_str(text).unwrap();
    of.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    of
}

pub(crate) fn both() -> [PresenceCluster; 2] {
    [resource(SMALLEST), resource(FULL)]
}

pub(crate) fn facts() -> Facts {
    let labels = [("app.kubernetes.io/name".to_owned(), "presence-operator".to_owned())];
    Facts {
        internal_secret: Some("0123456789abcdef".to_owned()),
        ports: Ports { database: Some(6432), migration: Some(5433), redis: Some(6380) },
        kinds: Kinds { pod_monitor: true, http_route: true },
        operator: Some(OperatorPods { namespace: "operators".to_owned(), labels: labels.into() }),
        ..Facts::default()
    }
}

pub(crate) fn desired(of: &PresenceCluster) -> Desired {
    objects(of, &facts()).unwrap()
}

pub(crate) fn all(desired: &Desired) -> Vec<&Object> {
    desired
        .base
        .iter()
        .chain([&desired.config])
        .chain(&desired.migration)
        .chain([&desired.deployment])
        .collect()
}

/// The one of this kind and name.
pub(crate) fn find<'a>(desired: &'a Desired, kind: &str, name: &str) -> &'a Value {
    let found = all(desired).into_iter().find(|object| object.resource.kind == kind && object.name == name);
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).value
}

/// The pod template of a Deployment or Job.
pub(crate) fn template(object: &Object) -> &Value {
    &object.value["spec"]["template"]
}

pub(crate) fn settings_text(desired: &Desired) -> &str {
    desired.config.value["data"]["presence.yaml"].as_str().unwrap()
}

pub(crate) fn settings(desired: &Desired) -> Value {
    serde_saphyr::from_str(settings_text(desired)).unwrap()
}

/// The same, behind a Gateway.
pub(crate) fn with_gateway(mut of: PresenceCluster) -> PresenceCluster {
    let gateway = serde_json::json!({"gateway": {
        "name": "public", "sectionName": "https", "hostnames": ["presence.academy.example"],
    }});
    of.spec.route = Some(serde_json::from_value(gateway).unwrap());
    of
}
