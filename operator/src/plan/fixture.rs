//! A resource and its desired objects as tests need them: as small as they can be, and of the right names.

use kube::core::{GroupVersionKind, ObjectMeta};
use serde_json::{Value, json};

use crate::crd::{Migrate, PresenceCluster};
use crate::desired::{Desired, Revision};
use crate::object::Object;

pub(crate) const NAME: &str = "lessons";

pub(crate) fn cluster() -> PresenceCluster {
    let spec = json!({
        "replicas": 3,
        "image": { "repository": "presence", "tag": "a" },
        "database": { "urlSecret": { "name": "database", "key": "url" } },
        "nats": { "urls": ["nats://nats:4222"] },
        "auth": { "issuers": [{ "audiences": ["lessons"], "jwksUrl": "https://id.example/keys" }] },
    });
    let mut cluster = PresenceCluster::new(NAME, serde_json::from_value(spec).unwrap());
    cluster.metadata = ObjectMeta {
        name: Some(NAME.into()),
        namespace: Some("school".into()),
        uid: Some("cluster-uid".into()),
        generation: Some(1),
        ..ObjectMeta::default()
    };
    cluster
}

pub(crate) fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Object {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let value = json!({ "metadata": { "name": name }, "spec": spec });
    Object::foreign(&gvk, &format!("{}s", kind.to_lowercase()), name, value)
}

/// As `desired` does it, but for what is in the objects: the image's tag is the revision.
pub(crate) fn desired(of: &PresenceCluster) -> Desired {
    let spec = &of.spec;
    let revision = spec.image.tag.clone().unwrap_or_default();
    let name = format!("{NAME}-{revision}");
    let mut base = vec![object("v1", "Service", NAME, &json!({ "port": spec.service.port }))];
    if spec.disruption_budget.enabled {
        base.push(object("policy/v1", "PodDisruptionBudget", NAME, &json!({ "maxUnavailable": 1 })));
    }
    if spec.route.is_some() {
        base.push(object("networking.k8s.io/v1", "Ingress", NAME, &json!({})));
    }
    let migration = (spec.database.migrate == Migrate::Auto)
        .then(|| object("batch/v1", "Job", &format!("{NAME}-migrate-{revision}"), &json!({})));
    Desired {
        config: object("v1", "ConfigMap", &name, &json!({ "of": revision })),
        deployment: object("apps/v1", "Deployment", &name, &json!({ "of": revision })),
        revision: Revision(revision),
        base,
        migration,
    }
}
