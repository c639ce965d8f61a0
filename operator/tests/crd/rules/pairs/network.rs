//! `service`, `route`, `networkPolicy`.

use serde_json::{Value, json};

use super::{Pair, below, change, here, spec};

pub(super) fn pairs() -> Vec<Pair> {
    [service(), route(), peers()].into_iter().flatten().collect()
}

fn service() -> Vec<Pair> {
    let service = |patch: Value| spec(json!({ "service": patch }));
    let ranges = json!(["10.0.0.0/8"]);
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
    ]
}

fn route() -> Vec<Pair> {
    let ingress = json!({ "host": "a.example" });
    let gateway = json!({ "name": "public", "hostnames": ["a.example"] });
    vec![
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
