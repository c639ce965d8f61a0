//! `auth`, `doors`, `timings`, `drain`.

use super::Wrong;

pub(super) const ROWS: &[Wrong] = &[
    Wrong("nobody's tokens", "spec.auth", r#"{"auth": null}"#),
    Wrong("no issuer", "spec.auth.issuers", r#"{"auth": {"issuers": []}}"#),
    Wrong(
        "an issuer without audience",
        "spec.auth.issuers[0].audiences",
        r#"{"auth": {"issuers": [{"jwksUrl": "https://a"}]}}"#,
    ),
    Wrong(
        "an issuer with an empty list of audiences",
        "spec.auth.issuers[0].audiences",
        r#"{"auth": {"issuers": [{"audiences": [], "jwksUrl": "https://a"}]}}"#,
    ),
    Wrong(
        "an audience with a space",
        "spec.auth.issuers[0].audiences[0]",
        r#"{"auth": {"issuers": [{"audiences": ["a b"], "jwksUrl": "https://a"}]}}"#,
    ),
    Wrong(
        "an audience with a quote",
        "spec.auth.issuers[0].audiences[0]",
        r#"{"auth": {"issuers": [{"audiences": ["a'b"], "jwksUrl": "https://a"}]}}"#,
    ),
    Wrong(
        "an audience twice at one issuer",
        "spec.auth.issuers[0].audiences",
        r#"{"auth": {"issuers": [{"audiences": ["a", "a"], "jwksUrl": "https://a"}]}}"#,
    ),
    Wrong(
        "an audience of two issuers",
        "spec.auth.issuers",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "https://a"}, {"audiences": ["a"], "jwksUrl": "https://b"}]}}"#,
    ),
    Wrong(
        "an audience that is the end of another",
        "spec.auth.issuers",
        r#"{"auth": {"issuers": [{"audiences": ["example"], "jwksUrl": "https://a"}, {"audiences": ["a.example"], "jwksUrl": "https://b"}]}}"#,
    ),
    Wrong(
        "an issuer without keys",
        "spec.auth.issuers[0].jwksUrl",
        r#"{"auth": {"issuers": [{"audiences": ["a"]}]}}"#,
    ),
    Wrong(
        "an issuer with keys in two places",
        "spec.auth.issuers[0].jwksUrl",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "https://a", "keySecret": {"name": "a", "key": "b"}}]}}"#,
    ),
    Wrong(
        "keys over HTTP",
        "spec.auth.issuers",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "http://a"}]}}"#,
    ),
    Wrong(
        "keys from a file",
        "spec.auth.issuers[0].jwksUrl",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "file:///etc/keys"}]}}"#,
    ),
    Wrong(
        "a user in a URL",
        "spec.auth.issuers[0].jwksUrl",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "https://u@a"}]}}"#,
    ),
    Wrong(
        "a fragment in a URL",
        "spec.auth.issuers[0].jwksUrl",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "https://a/#b"}]}}"#,
    ),
    Wrong(
        "clocks that differ by minutes",
        "spec.auth.issuers[0].leeway",
        r#"{"auth": {"issuers": [{"audiences": ["a"], "jwksUrl": "https://a", "leeway": "2m"}]}}"#,
    ),
    Wrong(
        "an unknown field of an issuer",
        "spec.auth.issuers[0].audience",
        r#"{"auth": {"issuers": [{"audience": "a", "audiences": ["a"], "jwksUrl": "https://a"}]}}"#,
    ),
    Wrong("an unknown way to authorise", "spec.auth.authz.mode", r#"{"auth": {"authz": {"mode": "http"}}}"#),
    Wrong(
        "a service to ask, but no URL",
        "spec.auth.authz.url",
        r#"{"auth": {"authz": {"mode": "Http", "namespace": "n"}}}"#,
    ),
    Wrong(
        "a service to ask, but no namespace",
        "spec.auth.authz.namespace",
        r#"{"auth": {"authz": {"mode": "Http", "url": "https://a"}}}"#,
    ),
    Wrong(
        "a service that nobody asks",
        "spec.auth.authz.mode",
        r#"{"auth": {"authz": {"url": "https://a"}}}"#,
    ),
    Wrong(
        "a service over HTTP",
        "spec.auth.authz.url",
        r#"{"auth": {"authz": {"mode": "Http", "url": "http://a", "namespace": "n"}}}"#,
    ),
    Wrong(
        "an origin with a path",
        "spec.doors.origins[0]",
        r#"{"doors": {"origins": ["https://a.example/"]}}"#,
    ),
    Wrong(
        "an origin in upper case",
        "spec.doors.origins[0]",
        r#"{"doors": {"origins": ["https://A.example"]}}"#,
    ),
    Wrong("an origin without scheme", "spec.doors.origins[0]", r#"{"doors": {"origins": ["a.example"]}}"#),
    Wrong(
        "an origin with a star in it",
        "spec.doors.origins[0]",
        r#"{"doors": {"origins": ["https://*.example"]}}"#,
    ),
    Wrong(
        "an origin with its scheme's own port",
        "spec.doors.origins[0]",
        r#"{"doors": {"origins": ["https://a.example:443"]}}"#,
    ),
    Wrong(
        "all origins and one more",
        "spec.doors.origins",
        r#"{"doors": {"origins": ["*", "https://a.example"]}}"#,
    ),
    Wrong(
        "a proxy that is no network",
        "spec.doors.trustedProxies[0]",
        r#"{"doors": {"trustedProxies": ["10.0.0.1"]}}"#,
    ),
    Wrong(
        "a network that there is not",
        "spec.doors.trustedProxies[0]",
        r#"{"doors": {"trustedProxies": ["10.0.0.0/33"]}}"#,
    ),
    Wrong("no connection at all", "spec.doors.maxConnections", r#"{"doors": {"maxConnections": 0}}"#),
    Wrong(
        "a queue that holds no event",
        "spec.doors.native.queueBytes",
        r#"{"doors": {"native": {"queueBytes": 1024}}}"#,
    ),
    Wrong(
        "more frames a second than may come at once",
        "spec.doors.native.framesPerSecond",
        r#"{"doors": {"native": {"framesPerSecond": 201}}}"#,
    ),
    Wrong(
        "messages shorter than a token",
        "spec.doors.native.maxMessage",
        r#"{"doors": {"native": {"maxMessage": 1024}}}"#,
    ),
    Wrong(
        "payloads of 1 KiB",
        "spec.doors.socketio.maxPayload",
        r#"{"doors": {"socketio": {"maxPayload": 1024}}}"#,
    ),
    Wrong("a lesson without seats", "spec.doors.socketio.seats", r#"{"doors": {"socketio": {"seats": 0}}}"#),
    Wrong("seats for a stadium", "spec.doors.socketio.seats", r#"{"doors": {"socketio": {"seats": 1001}}}"#),
    Wrong(
        "nobody may poll",
        "spec.doors.socketio.maxPolling",
        r#"{"doors": {"socketio": {"maxPolling": 0}}}"#,
    ),
    Wrong(
        "an unknown source of identity",
        "spec.doors.socketio.identity",
        r#"{"doors": {"socketio": {"identity": "Cookie"}}}"#,
    ),
    Wrong(
        "a door that is maybe open",
        "spec.doors.native.enabled",
        r#"{"doors": {"native": {"enabled": "yes"}}}"#,
    ),
    Wrong(
        "no door open",
        "spec.doors",
        r#"{"doors": {"native": {"enabled": false}, "socketio": {"enabled": false}}}"#,
    ),
    Wrong(
        "the native door closed, and no Redis for the other",
        "spec.doors",
        r#"{"redis": null, "doors": {"native": {"enabled": false}}}"#,
    ),
    Wrong(
        "Socket.IO without Redis",
        "spec.doors.socketio.enabled",
        r#"{"redis": null, "doors": {"socketio": {"enabled": true}}}"#,
    ),
    Wrong("an unknown door", "spec.doors.graphql", r#"{"doors": {"graphql": {}}}"#),
    Wrong(
        "a lease that cannot be renewed twice",
        "spec.timings.leaseRenew",
        r#"{"timings": {"leaseRenew": "5s"}}"#,
    ),
    Wrong(
        "a lease renewed all the time",
        "spec.timings.leaseRenew",
        r#"{"timings": {"leaseRenew": "10ms"}}"#,
    ),
    Wrong(
        "a lease of half a second",
        "spec.timings.leaseTtl",
        r#"{"timings": {"leaseTtl": "500ms", "leaseRenew": "100ms"}}"#,
    ),
    Wrong("a session kept for an hour", "spec.timings.leaveGrace", r#"{"timings": {"leaveGrace": "1h"}}"#),
    Wrong("an hour to come back", "spec.timings.returnWindow", r#"{"timings": {"returnWindow": "1h"}}"#),
    Wrong("a time with a fraction", "spec.timings.leaveGrace", r#"{"timings": {"leaveGrace": "1.5s"}}"#),
    Wrong("a time with two units", "spec.timings.leaveGrace", r#"{"timings": {"leaveGrace": "1m30s"}}"#),
    Wrong("a time below zero", "spec.timings.leaveGrace", r#"{"timings": {"leaveGrace": "-1s"}}"#),
    Wrong("a time in days", "spec.drain.deadline", r#"{"drain": {"deadline": "1d"}}"#),
    Wrong("two hours to let go", "spec.drain.deadline", r#"{"drain": {"deadline": "2h"}}"#),
    Wrong(
        "more than an hour to end",
        "spec.drain.deadline",
        r#"{"drain": {"deadline": "59m", "preStop": "1m"}}"#,
    ),
    Wrong("an hour before it begins", "spec.drain.preStop", r#"{"drain": {"preStop": "1h"}}"#),
    Wrong("nobody let go", "spec.drain.agentsPerSecond", r#"{"drain": {"agentsPerSecond": 0}}"#),
    Wrong("a rate with a fraction", "spec.drain.agentsPerSecond", r#"{"drain": {"agentsPerSecond": 0.5}}"#),
];
