//! How agents reach the Service from outside: an Ingress, or an HTTPRoute. Sockets are open for hours and may be silent for
//! most of a minute: no proxy may cut them after its usual time.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{
    canonical,
    names::{Owner, PUBLIC},
};
use crate::{
    crd::{Gateway, network},
    object::Object,
};

pub(super) fn routes(owner: Owner<'_>) -> Vec<Object> {
    let route = owner.of.spec.route.as_ref();
    let ingress = route.and_then(|route| route.ingress.as_ref()).map(|of| Object::new(&ingress(owner, of)));
    let gateway = route.and_then(|route| route.gateway.as_ref()).map(|of| http_route(owner, of));
    ingress.into_iter().chain(gateway).collect()
}

fn ingress(owner: Owner<'_>, of: &network::Ingress) -> Ingress {
    let mut metadata = owner.metadata(owner.name);
    let mut annotations = patience(owner);
    annotations.extend(of.annotations.clone());
    metadata.annotations = Some(annotations);
    let port = ServiceBackendPort { name: Some(PUBLIC.0.to_owned()), number: None };
    let service = IngressServiceBackend { name: owner.name.to_owned(), port: Some(port) };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend { service: Some(service), resource: None },
    };
    let rule =
        IngressRule { host: Some(of.host.clone()), http: Some(HTTPIngressRuleValue { paths: vec![path] }) };
    let tls = of
        .tls_secret
        .clone()
        .map(|secret| vec![IngressTLS { hosts: Some(vec![of.host.clone()]), secret_name: Some(secret) }]);
    let spec = IngressSpec {
        ingress_class_name: of.class_name.clone(),
        rules: Some(vec![rule]),
        tls,
        default_backend: None,
    };
    Ingress { metadata, spec: Some(spec), status: None }
}

/// What the server takes in one request by default, and a little more: it answers what is too large itself.
const MAX_PAYLOAD: i32 = 1_200_000;

/// An hour of silence, for the controllers that are known to cut sockets before: `ingress-nginx` and the two of `haproxy`.
/// Others do not read these.
fn patience(owner: Owner<'_>) -> BTreeMap<String, String> {
    let payload = owner.of.spec.doors.socketio.max_payload.unwrap_or(MAX_PAYLOAD).max(MAX_PAYLOAD);
    let body = format!("{}k", payload / 1000 + 100);
    let pairs = [
        ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600"),
        ("nginx.ingress.kubernetes.io/proxy-send-timeout", "3600"),
        ("nginx.ingress.kubernetes.io/proxy-body-size", &body),
        ("haproxy.org/timeout-tunnel", "1h"),
        ("haproxy-ingress.github.io/timeout-tunnel", "1h"),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Without time-outs of its own: `0s` is none. What the API server fills in is said, so that it is read back the same.
fn http_route(owner: Owner<'_>, of: &Gateway) -> Object {
    let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let mut value = json!({
        "metadata": owner.metadata(owner.name),
        "spec": {
            "parentRefs": [{
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": of.name,
                "sectionName": of.section_name,
            }],
            "hostnames": of.hostnames,
            "rules": [{
                "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                "backendRefs": [{
                    "group": "",
                    "kind": "Service",
                    "name": owner.name,
                    "port": owner.of.spec.service.port,
                    "weight": 1,
                }],
                "timeouts": { "request": "0s", "backendRequest": "0s" },
            }],
        },
    });
    canonical::drop_nulls(&mut value);
    Object::foreign(&gvk, "httproutes", owner.name, value)
}
