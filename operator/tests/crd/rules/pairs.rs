//! The rules, each with what breaks it and what keeps it. Patches are of the least resource.

use serde_json::{Value, json};

pub(crate) struct Pair {
    /// Where the API server says it is wrong.
    pub(crate) at: &'static str,
    /// Where the rule stands, if it points at a field below.
    pub(crate) schema: Option<&'static str>,
    /// What of the message no other rule of that place says.
    pub(crate) says: &'static str,
    pub(crate) refused: Value,
    pub(crate) accepted: Value,
    /// What the resource was before, for a rule about changes.
    pub(crate) before: Option<Value>,
}

/// Lengths of time: where, the least, the most, and one below and above where there is one.
pub(crate) const PERIODS: &[(&str, &str, &str, Option<&str>, Option<&str>)] = &[
    ("spec.auth.issuers[].leeway", "0s", "1m", None, Some("61s")),
    ("spec.nats.stream.maxAge", "10m", "365d", Some("599s"), Some("366d")),
    ("spec.nats.stream.maxAge", "10m", "365d", Some("0d"), Some("8761h")),
    ("spec.timings.leaveGrace", "0s", "5m", None, Some("300001ms")),
    ("spec.timings.returnWindow", "0s", "5m", None, Some("6m")),
    ("spec.timings.leaseTtl", "1s", "5m", Some("999ms"), Some("1h")),
    ("spec.timings.leaseRenew", "100ms", "149s", Some("99ms"), Some("150s")),
    ("spec.drain.deadline", "0s", "3589s", None, Some("1h")),
    ("spec.drain.preStop", "0s", "10m", None, Some("601s")),
    ("spec.rollout.progressDeadline", "30s", "1d", Some("29s"), Some("25h")),
    ("spec.autoscaling.scaleDownAfter", "0s", "1h", None, Some("61m")),
    ("spec.monitoring.interval", "1s", "1h", Some("0s"), Some("2h")),
];

/// A rule that stands where it points.
fn here(at: &'static str, says: &'static str, refused: Value, accepted: Value) -> Pair {
    Pair { at, schema: None, says, refused, accepted, before: None }
}

/// A rule of `schema` that points at `at`.
fn below(
    schema: &'static str,
    at: &'static str,
    says: &'static str,
    [refused, accepted]: [Value; 2],
) -> Pair {
    Pair { at, schema: Some(schema), says, refused, accepted, before: None }
}

fn change(pair: Pair, before: Value) -> Pair {
    Pair { before: Some(before), ..pair }
}

fn spec(patch: Value) -> Value {
    json!({ "spec": patch })
}

pub(crate) fn pairs() -> Vec<Pair> {
    [whole(), image_and_backing(), auth(), doors_and_timings(), network(), peers(), maps(), pod()]
        .into_iter()
        .flatten()
        .collect()
}

fn whole() -> Vec<Pair> {
    let redis = json!({ "urlSecret": { "name": "redis", "key": "url" } });
    let name = |name: &str| json!({ "metadata": { "name": name } });
    let closed =
        |socketio: Value| spec(json!({ "doors": { "native": { "enabled": false }, "socketio": socketio } }));
    let scaled = |resources: Value| {
        let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 2 });
        spec(json!({ "autoscaling": autoscaling, "pod": { "resources": resources } }))
    };
    let mut with_redis = closed(json!({}));
    with_redis["spec"]["redis"] = redis.clone();
    let mut both_closed = closed(json!({ "enabled": false }));
    both_closed["spec"]["redis"] = redis.clone();
    let enabled = json!({ "socketio": { "enabled": true } });
    let cpu = "must request cpu";
    let at = "spec.pod.resources";
    vec![
        here("", "metadata.name must have", name(&"a".repeat(41)), name(&"a".repeat(40))),
        here("", "metadata.name must have", name("1school"), name("school-1")),
        here("", "metadata.name must have", name("school.example"), name("s")),
        below("spec", "spec.doors", "no door is open", [closed(json!({})), with_redis]),
        below(
            "spec",
            "spec.doors",
            "no door is open",
            [both_closed, spec(json!({ "doors": { "socketio": { "enabled": false } }, "redis": redis }))],
        ),
        below(
            "spec",
            "spec.doors.socketio.enabled",
            "needs redis",
            [spec(json!({ "doors": enabled })), spec(json!({ "doors": enabled, "redis": redis }))],
        ),
        below(
            "spec",
            at,
            cpu,
            [scaled(json!({ "requests": { "memory": "1Gi" } })), scaled(json!({ "requests": { "cpu": 1 } }))],
        ),
        below(
            "spec",
            at,
            cpu,
            [
                scaled(json!({ "limits": { "memory": "1Gi" } })),
                scaled(json!({ "limits": { "cpu": "500m" } })),
            ],
        ),
        below(
            "spec.autoscaling",
            "spec.autoscaling.maxReplicas",
            "less than minReplicas",
            [
                spec(json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 2 } })),
                spec(json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 3 } })),
            ],
        ),
    ]
}

fn image_and_backing() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    let nats = |patch: Value| spec(json!({ "nats": patch }));
    let migrate = |how: &str| spec(json!({ "database": { "migrate": how, "migrationUrlSecret": key } }));
    let prefix = |prefix: &str| spec(json!({ "redis": { "urlSecret": key, "keyPrefix": prefix } }));
    let stream = |name: &str| nats(json!({ "stream": { "name": name } }));
    let digest = format!("sha256:{}", "0".repeat(64));
    let one_way = "one way to log in";
    let together = "user and passwordSecret belong together";
    vec![
        below(
            "spec.image",
            "spec.image.tag",
            "which image",
            [
                spec(json!({ "image": { "tag": null } })),
                spec(json!({ "image": { "tag": null, "digest": digest } })),
            ],
        ),
        below(
            "spec.database",
            "spec.database.migrationUrlSecret",
            "migrate is Manual",
            [migrate("Manual"), migrate("Auto")],
        ),
        below(
            "spec.nats",
            "spec.nats.urls",
            "mixes nats:// and tls://",
            [
                nats(json!({ "urls": ["nats://a", "tls://b"] })),
                nats(json!({ "urls": ["tls://a", "tls://b"] })),
            ],
        ),
        below(
            "spec.nats",
            "spec.nats.credentialsSecret",
            one_way,
            [
                nats(json!({ "credentialsSecret": key, "tokenSecret": key })),
                nats(json!({ "credentialsSecret": key })),
            ],
        ),
        below(
            "spec.nats",
            "spec.nats.credentialsSecret",
            one_way,
            [
                nats(json!({ "user": "u", "passwordSecret": key, "tokenSecret": key })),
                nats(json!({ "tokenSecret": key })),
            ],
        ),
        below(
            "spec.nats",
            "spec.nats.passwordSecret",
            together,
            [nats(json!({ "user": "u" })), nats(json!({ "user": "u", "passwordSecret": key }))],
        ),
        below(
            "spec.nats",
            "spec.nats.passwordSecret",
            together,
            [nats(json!({ "passwordSecret": key })), nats(json!({}))],
        ),
        here(
            "spec.nats.urls[]",
            "whole IPv6 address",
            nats(json!({ "urls": ["nats://[::1::]:4222"] })),
            nats(json!({ "urls": ["nats://[fd00::1]:4222"] })),
        ),
        change(
            here("spec.nats.stream.name", "cannot be changed", stream("other"), stream("one")),
            stream("one"),
        ),
        change(here("spec.redis.keyPrefix", "cannot be changed", prefix("b:"), prefix("a:")), prefix("a:")),
        change(
            here("spec.redis.keyPrefix", "cannot be changed", prefix("b:"), spec(json!({}))),
            prefix("a:"),
        ),
        here(
            "spec.analytics.url",
            "whole IPv6 address",
            spec(json!({ "analytics": { "url": "https://[:]/", "tokenSecret": key } })),
            spec(json!({ "analytics": { "url": "https://[::1]/", "tokenSecret": key } })),
        ),
        here(
            "spec.monitoring.otlpEndpoint",
            "whole IPv6 address",
            spec(json!({ "monitoring": { "otlpEndpoint": "http://[1:2]:4318" } })),
            spec(json!({ "monitoring": { "otlpEndpoint": "http://[fd00::1]:4318" } })),
        ),
    ]
}

fn auth() -> Vec<Pair> {
    let auth = |patch: Value| spec(json!({ "auth": patch }));
    let issuers = |audiences: &[&[&str]]| {
        let issuer = |of: &&[&str]| json!({ "audiences": of, "jwksUrl": "https://id.example" });
        auth(json!({ "issuers": audiences.iter().map(issuer).collect::<Vec<_>>() }))
    };
    let issuer = |patch: Value| {
        let mut issuer = json!({ "audiences": ["a"] });
        issuer.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        json!([issuer])
    };
    let http = json!({ "mode": "Http", "url": "http://authz/", "namespace": "n" });
    let key = json!({ "name": "a", "key": "b" });
    let (list, url) = ("spec.auth.issuers", "spec.auth.authz.url");
    let keys = issuer(json!({ "keySecret": key }));
    vec![
        below(
            "spec.auth",
            list,
            "holds a jwksUrl with http://",
            [
                auth(json!({ "issuers": issuer(json!({ "jwksUrl": "http://id" })) })),
                auth(json!({ "issuers": issuer(json!({ "jwksUrl": "http://id" })), "allowHttp": true })),
            ],
        ),
        below(
            "spec.auth",
            url,
            "must be https://",
            [auth(json!({ "authz": http })), auth(json!({ "authz": http, "allowHttp": true }))],
        ),
        below(
            "spec.auth",
            list,
            "an audience twice",
            [issuers(&[&["a", "b"], &["c", "a"]]), issuers(&[&["a", "b"], &["c", "d"]])],
        ),
        below(
            "spec.auth",
            list,
            "the end of another",
            [
                issuers(&[&["school.example"], &["example"]]),
                issuers(&[&["school.example"], &["school-example"], &["hool.example"]]),
            ],
        ),
        below(
            "spec.auth",
            list,
            "the end of another",
            [issuers(&[&["example", "school.example"]]), issuers(&[&["example", "myexample"]])],
        ),
        below(
            "spec.auth.issuers[]",
            "spec.auth.issuers[].jwksUrl",
            "where the issuer's keys are",
            [auth(json!({ "issuers": issuer(json!({})) })), auth(json!({ "issuers": keys }))],
        ),
        below(
            "spec.auth.issuers[]",
            "spec.auth.issuers[].jwksUrl",
            "where the issuer's keys are",
            [
                auth(json!({ "issuers": issuer(json!({ "jwksUrl": "https://id", "keySecret": key })) })),
                auth(json!({ "issuers": issuer(json!({ "jwksUrl": "https://id" })) })),
            ],
        ),
        here(
            "spec.auth.issuers[].jwksUrl",
            "whole IPv6 address",
            auth(json!({ "issuers": issuer(json!({ "jwksUrl": "https://[.]/" })) })),
            auth(json!({ "issuers": issuer(json!({ "jwksUrl": "https://[fd00::1]/" })) })),
        ),
        here(
            url,
            "whole IPv6 address",
            auth(json!({ "authz": { "mode": "Http", "url": "https://[.]/", "namespace": "n" } })),
            auth(json!({ "authz": { "mode": "Http", "url": "https://[::1]/", "namespace": "n" } })),
        ),
        below(
            "spec.auth.authz",
            url,
            "must be there",
            [
                auth(json!({ "authz": { "mode": "Http", "namespace": "n" } })),
                auth(json!({ "authz": { "mode": "Http", "namespace": "n", "url": "https://a" } })),
            ],
        ),
        below(
            "spec.auth.authz",
            "spec.auth.authz.namespace",
            "must be there",
            [
                auth(json!({ "authz": { "mode": "Http", "url": "https://a" } })),
                auth(json!({ "authz": { "mode": "Allow" } })),
            ],
        ),
        below(
            "spec.auth.authz",
            "spec.auth.authz.mode",
            "must be Http where",
            [
                auth(json!({ "authz": { "tokenSecret": key } })),
                auth(json!({ "authz": { "mode": "Claims" } })),
            ],
        ),
    ]
}

fn doors_and_timings() -> Vec<Pair> {
    let origins = |list: Value| spec(json!({ "doors": { "origins": list } }));
    let proxies = |list: Value| spec(json!({ "doors": { "trustedProxies": list } }));
    let timings =
        |ttl: &str, renew: &str| spec(json!({ "timings": { "leaseTtl": ttl, "leaseRenew": renew } }));
    let drain = |deadline: &str, pre_stop: &str| {
        spec(json!({ "drain": { "deadline": deadline, "preStop": pre_stop } }))
    };
    let browser = "as a browser writes it";
    vec![
        here(
            "spec.doors.origins",
            "holds * beside others",
            origins(json!(["*", "https://a.example"])),
            origins(json!(["*"])),
        ),
        here(
            "spec.doors.origins[]",
            browser,
            origins(json!(["https://a.example:443"])),
            origins(json!(["https://a.example:80", "http://a.example:443"])),
        ),
        here(
            "spec.doors.origins[]",
            browser,
            origins(json!(["http://a.example:80"])),
            origins(json!(["http://a.example:8080"])),
        ),
        here(
            "spec.doors.origins[]",
            browser,
            origins(json!(["http://[fd00:0::1]"])),
            origins(json!(["http://[fd00::1]"])),
        ),
        here(
            "spec.doors.origins[]",
            browser,
            origins(json!(["http://[:]"])),
            origins(json!(["http://192.0.2.1"])),
        ),
        here(
            "spec.doors.trustedProxies[]",
            "CIDR",
            proxies(json!(["10.0.0.0"])),
            proxies(json!(["10.0.0.0/8"])),
        ),
        here(
            "spec.doors.trustedProxies[]",
            "CIDR",
            proxies(json!(["10.0.0.0/33"])),
            proxies(json!(["fd00::/8"])),
        ),
        below(
            "spec.timings",
            "spec.timings.leaseRenew",
            "less than half of leaseTtl",
            [timings("10s", "5s"), timings("10s", "4999ms")],
        ),
        below(
            "spec.drain",
            "spec.drain.deadline",
            "no more than an hour",
            [drain("3580s", "10s"), drain("3580s", "9s")],
        ),
    ]
}

fn network() -> Vec<Pair> {
    let service = |patch: Value| spec(json!({ "service": patch }));
    let ranges = json!(["10.0.0.0/8"]);
    let ingress = json!({ "host": "a.example" });
    let gateway = json!({ "name": "public", "hostnames": ["a.example"] });
    let class = |class: Value| service(json!({ "type": "LoadBalancer", "loadBalancerClass": class }));
    let at = "spec.service.loadBalancerClass";
    let kept = "cannot be changed while";
    vec![
        below(
            "spec.service",
            "spec.service.nodePort",
            "NodePort or LoadBalancer",
            [
                service(json!({ "nodePort": 30080 })),
                service(json!({ "type": "NodePort", "nodePort": 30080 })),
            ],
        ),
        below(
            "spec.service",
            at,
            "is for a type of LoadBalancer",
            [service(json!({ "loadBalancerClass": "a/b" })), class("a/b".into())],
        ),
        below(
            "spec.service",
            "spec.service.loadBalancerSourceRanges",
            "is for a type of LoadBalancer",
            [
                service(json!({ "type": "NodePort", "loadBalancerSourceRanges": ranges })),
                service(json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ranges })),
            ],
        ),
        here(
            "spec.service.loadBalancerSourceRanges[]",
            "CIDR",
            service(json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ["everybody"] })),
            service(json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0"] })),
        ),
        change(below("spec.service", at, kept, [class("b".into()), class("a".into())]), class("a".into())),
        change(
            below("spec.service", at, kept, [class(Value::Null), service(json!({ "type": "NodePort" }))]),
            class("a".into()),
        ),
        change(below("spec.service", at, kept, [class("a".into()), class(Value::Null)]), class(Value::Null)),
        change(below("spec.service", at, kept, [class("b".into()), class("a".into())]), class("a".into())),
        below(
            "spec.route",
            "spec.route.ingress",
            "either route.ingress or route.gateway",
            [
                spec(json!({ "route": { "ingress": ingress, "gateway": gateway } })),
                spec(json!({ "route": { "ingress": ingress } })),
            ],
        ),
        below(
            "spec.route",
            "spec.route.ingress",
            "either route.ingress or route.gateway",
            [spec(json!({ "route": {} })), spec(json!({ "route": { "gateway": gateway } }))],
        ),
    ]
}

fn peers() -> Vec<Pair> {
    let lists = [
        ["spec.networkPolicy.clients[]", "spec.networkPolicy.clients[].ipBlock", "clients"],
        ["spec.networkPolicy.monitoring[]", "spec.networkPolicy.monitoring[].ipBlock", "monitoring"],
        ["spec.networkPolicy.backing[]", "spec.networkPolicy.backing[].ipBlock", "backing"],
    ];
    let mut pairs = Vec::new();
    for [peer, block, list] in lists {
        let one = |peer: Value| spec(json!({ "networkPolicy": { list: [peer] } }));
        let net = json!({ "cidr": "10.0.0.0/8" });
        let cidr: &'static str = format!("{block}.cidr").leak();
        let either = "either an ipBlock";
        pairs.push(here(peer, either, one(json!({})), one(json!({ "podSelector": {} }))));
        let both = json!({ "ipBlock": net, "podSelector": {} });
        pairs.push(here(peer, either, one(both), one(json!({ "ipBlock": net }))));
        let says = "must hold networks";
        let off = json!({ "cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"] });
        let within = json!({ "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] });
        let blocks = [one(json!({ "ipBlock": off })), one(json!({ "ipBlock": within }))];
        pairs.push(below(block, cidr, says, blocks));
        let none = json!({ "cidr": "ten" });
        let blocks = [one(json!({ "ipBlock": none })), one(json!({ "ipBlock": net }))];
        pairs.push(below(block, cidr, says, blocks));
    }
    pairs
}

/// Labels and annotations.
fn maps() -> Vec<Pair> {
    let ingress =
        |map: Value| spec(json!({ "route": { "ingress": { "host": "a.example", "annotations": map } } }));
    let service = |map: Value| spec(json!({ "service": { "annotations": map } }));
    let monitoring = |map: Value| spec(json!({ "monitoring": { "labels": map } }));
    let labels = |map: Value| spec(json!({ "pod": { "labels": map } }));
    let annotations = |map: Value| spec(json!({ "pod": { "annotations": map } }));
    let nodes = |map: Value| spec(json!({ "pod": { "nodeSelector": map } }));
    let places: [(&'static str, &dyn Fn(Value) -> Value, Option<&'static str>); 6] = [
        ("spec.route.ingress.annotations", &ingress, Some("an annotation that is the operator's own")),
        ("spec.service.annotations", &service, Some("an annotation that is the operator's own")),
        ("spec.monitoring.labels", &monitoring, Some("a label that is the operator's own")),
        ("spec.pod.labels", &labels, Some("a label that is the operator's own")),
        ("spec.pod.annotations", &annotations, Some("an annotation that is the operator's own")),
        ("spec.pod.nodeSelector", &nodes, None),
    ];
    let mut pairs = Vec::new();
    for (at, patch, ours) in places {
        let key = |key: &str| patch(json!({ key: "value" }));
        pairs.push(here(at, "holds a key that is none", key("a/b/c"), key("a.example/b")));
        pairs.push(here(at, "holds a key that is none", key("-a"), key("a")));
        pairs.push(here(at, "holds a key that is none", key(&"a".repeat(64)), key(&"a".repeat(63))));
        for forbidden in ["presence.rs/revision", "app.kubernetes.io/name"] {
            if let Some(says) = ours {
                pairs.push(here(at, says, key(forbidden), key("presence.example/revision")));
            }
        }
    }
    for key in ["pod-template-hash", "controller-revision-hash"] {
        let says = "a label that is the operator's own";
        pairs.push(here(
            "spec.pod.labels",
            says,
            labels(json!({ key: "1" })),
            labels(json!({ "hash": "1" })),
        ));
    }
    for key in [
        "kubernetes.io/config.mirror",
        "controller.kubernetes.io/pod-deletion-cost",
        "deployment.kubernetes.io/revision",
        "seccomp.security.alpha.kubernetes.io/pod",
        "container.apparmor.security.beta.kubernetes.io/presence",
        "io.kubernetes.cri-o.userns-mode",
    ] {
        let allowed = annotations(json!({ "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" }));
        pairs.push(here(
            "spec.pod.annotations",
            "what a pod is allowed",
            annotations(json!({ key: "x" })),
            allowed,
        ));
    }
    pairs
}

fn pod() -> Vec<Pair> {
    let resources = |patch: Value| spec(json!({ "pod": { "resources": patch } }));
    let only = "only cpu, memory and ephemeral-storage";
    let class = |name: &str| spec(json!({ "pod": { "priorityClassName": name } }));
    let amounts = |requests: &str, limits: &str| {
        resources(json!({ "requests": { "memory": requests }, "limits": { "memory": limits } }))
    };
    vec![
        here(
            "spec.pod.resources.limits",
            only,
            resources(json!({ "limits": { "memroy": "1Gi" } })),
            resources(json!({ "limits": { "memory": "1Gi" } })),
        ),
        here(
            "spec.pod.resources.requests",
            only,
            resources(json!({ "requests": { "nvidia.com/gpu": 1 } })),
            resources(json!({ "requests": { "cpu": 1, "ephemeral-storage": "1Gi" } })),
        ),
        below(
            "spec.pod.resources",
            "spec.pod.resources.requests",
            "more is requested",
            [amounts("2Gi", "1Gi"), amounts("1024Mi", "1Gi")],
        ),
        below(
            "spec.pod.resources",
            "spec.pod.resources.requests",
            "more is requested",
            [
                resources(json!({ "requests": { "cpu": 1 }, "limits": { "cpu": "999m" } })),
                resources(json!({ "requests": { "cpu": 1 }, "limits": { "memory": "1Gi" } })),
            ],
        ),
        here(
            "spec.pod.priorityClassName",
            "one of the system's own",
            class("system-node-critical"),
            class("classrooms"),
        ),
    ]
}
