//! `service`, `route`, `networkPolicy`, `monitoring`.

use super::Wrong;

pub(super) const ROWS: &[Wrong] = &[
    Wrong("an unknown type of Service", "spec.service.type", r#"{"service": {"type": "ExternalName"}}"#),
    Wrong("port 0", "spec.service.port", r#"{"service": {"port": 0}}"#),
    Wrong("port 65536", "spec.service.port", r#"{"service": {"port": 65536}}"#),
    Wrong("a port by name", "spec.service.port", r#"{"service": {"port": "http"}}"#),
    Wrong("a node's port inside the cluster", "spec.service.nodePort", r#"{"service": {"nodePort": 30080}}"#),
    Wrong(
        "a node's port that there is not",
        "spec.service.nodePort",
        r#"{"service": {"type": "NodePort", "nodePort": 70000}}"#,
    ),
    Wrong(
        "a class without load balancer",
        "spec.service.loadBalancerClass",
        r#"{"service": {"loadBalancerClass": "a/b"}}"#,
    ),
    Wrong(
        "a class that is no name",
        "spec.service.loadBalancerClass",
        r#"{"service": {"type": "LoadBalancer", "loadBalancerClass": "a b"}}"#,
    ),
    Wrong(
        "ranges without load balancer",
        "spec.service.loadBalancerSourceRanges",
        r#"{"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}"#,
    ),
    Wrong(
        "a range that is none",
        "spec.service.loadBalancerSourceRanges[0]",
        r#"{"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["all"]}}"#,
    ),
    Wrong(
        "a range twice",
        "spec.service.loadBalancerSourceRanges",
        r#"{"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "10.0.0.0/8"]}}"#,
    ),
    Wrong(
        "an annotation of ours on the Service",
        "spec.service.annotations",
        r#"{"service": {"annotations": {"presence.rs/a": "b"}}}"#,
    ),
    Wrong(
        "an annotation's key with two slashes",
        "spec.service.annotations",
        r#"{"service": {"annotations": {"a/b/c": "d"}}}"#,
    ),
    Wrong(
        "an annotation that is no text",
        "spec.service.annotations.a",
        r#"{"service": {"annotations": {"a": true}}}"#,
    ),
    Wrong("a route that leads nowhere", "spec.route.ingress", r#"{"route": {}}"#),
    Wrong(
        "two routes",
        "spec.route.ingress",
        r#"{"route": {"ingress": {"host": "a.example"}, "gateway": {"name": "g", "hostnames": ["a.example"]}}}"#,
    ),
    Wrong("an Ingress without host", "spec.route.ingress.host", r#"{"route": {"ingress": {}}}"#),
    Wrong(
        "a host in upper case",
        "spec.route.ingress.host",
        r#"{"route": {"ingress": {"host": "A.example"}}}"#,
    ),
    Wrong(
        "a host with its scheme",
        "spec.route.ingress.host",
        r#"{"route": {"ingress": {"host": "https://a.example"}}}"#,
    ),
    Wrong(
        "a class of Ingress in upper case",
        "spec.route.ingress.className",
        r#"{"route": {"ingress": {"host": "a.example", "className": "Nginx"}}}"#,
    ),
    Wrong(
        "a certificate elsewhere",
        "spec.route.ingress.tlsSecret",
        r#"{"route": {"ingress": {"host": "a.example", "tlsSecret": "other/tls"}}}"#,
    ),
    Wrong(
        "an annotation of ours on the Ingress",
        "spec.route.ingress.annotations",
        r#"{"route": {"ingress": {"host": "a.example", "annotations": {"app.kubernetes.io/name": "b"}}}}"#,
    ),
    Wrong(
        "a path of an Ingress",
        "spec.route.ingress.path",
        r#"{"route": {"ingress": {"host": "a.example", "path": "/presence"}}}"#,
    ),
    Wrong(
        "a Gateway without name",
        "spec.route.gateway.name",
        r#"{"route": {"gateway": {"hostnames": ["a.example"]}}}"#,
    ),
    Wrong(
        "a Gateway without hosts",
        "spec.route.gateway.hostnames",
        r#"{"route": {"gateway": {"name": "g", "hostnames": []}}}"#,
    ),
    Wrong(
        "a Gateway's host that is none",
        "spec.route.gateway.hostnames[0]",
        r#"{"route": {"gateway": {"name": "g", "hostnames": ["a_b"]}}}"#,
    ),
    Wrong(
        "a Gateway elsewhere",
        "spec.route.gateway.namespace",
        r#"{"route": {"gateway": {"name": "g", "hostnames": ["a.example"], "namespace": "gateways"}}}"#,
    ),
    Wrong(
        "a peer that is nobody",
        "spec.networkPolicy.clients[0]",
        r#"{"networkPolicy": {"clients": [{}]}}"#,
    ),
    Wrong(
        "a peer that is two",
        "spec.networkPolicy.backing[0]",
        r#"{"networkPolicy": {"backing": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}}"#,
    ),
    Wrong(
        "a port that is none",
        "spec.networkPolicy.backingPorts[0]",
        r#"{"networkPolicy": {"backingPorts": [0]}}"#,
    ),
    Wrong(
        "a peer's network that is none",
        "spec.networkPolicy.monitoring[0].ipBlock.cidr",
        r#"{"networkPolicy": {"monitoring": [{"ipBlock": {"cidr": "ten"}}]}}"#,
    ),
    Wrong(
        "an exception outside",
        "spec.networkPolicy.clients[0].ipBlock.cidr",
        r#"{"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}}]}}"#,
    ),
    Wrong(
        "a network without CIDR",
        "spec.networkPolicy.clients[0].ipBlock.cidr",
        r#"{"networkPolicy": {"clients": [{"ipBlock": {}}]}}"#,
    ),
    Wrong(
        "a peer by service",
        "spec.networkPolicy.clients[0].serviceSelector",
        r#"{"networkPolicy": {"clients": [{"serviceSelector": {}}]}}"#,
    ),
    Wrong(
        "an unknown operator of a selector",
        "spec.networkPolicy.clients[0].podSelector.matchExpressions[0].operator",
        r#"{"networkPolicy": {"clients": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}}]}}"#,
    ),
    Wrong(
        "a policy that is maybe there",
        "spec.networkPolicy.enabled",
        r#"{"networkPolicy": {"enabled": 1}}"#,
    ),
    Wrong(
        "metrics read all the time",
        "spec.monitoring.interval",
        r#"{"monitoring": {"interval": "100ms"}}"#,
    ),
    Wrong("metrics read once a day", "spec.monitoring.interval", r#"{"monitoring": {"interval": "24h"}}"#),
    Wrong("an unknown level", "spec.monitoring.logLevel", r#"{"monitoring": {"logLevel": "loud"}}"#),
    Wrong("no level", "spec.monitoring.logLevel", r#"{"monitoring": {"logLevel": ""}}"#),
    Wrong(
        "a level of a module that is none",
        "spec.monitoring.logLevel",
        r#"{"monitoring": {"logLevel": "info,a=b=c"}}"#,
    ),
    Wrong(
        "a collector over gRPC",
        "spec.monitoring.otlpEndpoint",
        r#"{"monitoring": {"otlpEndpoint": "grpc://collector:4317"}}"#,
    ),
    Wrong(
        "a label's value with a space",
        "spec.monitoring.labels.a",
        r#"{"monitoring": {"labels": {"a": "b c"}}}"#,
    ),
    Wrong(
        "a label of ours on the PodMonitor",
        "spec.monitoring.labels",
        r#"{"monitoring": {"labels": {"app.kubernetes.io/name": "b"}}}"#,
    ),
];
