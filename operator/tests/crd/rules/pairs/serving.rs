//! `auth`, `doors`, `timings`, `drain`.

use serde_json::{Value, json};

use super::{Pair, below, here, spec};

pub(super) fn pairs() -> Vec<Pair> {
    [audiences(), keys(), authz(), doors(), timings()].into_iter().flatten().collect()
}

fn auth(patch: &Value) -> Value {
    json!({ "spec": { "auth": patch } })
}

/// A list of one issuer.
fn issuer(patch: &Value) -> Value {
    let mut issuer = patch.clone();
    issuer["audiences"] = json!(["a"]);
    json!([issuer])
}

fn audiences() -> Vec<Pair> {
    let issuers = |audiences: &[&[&str]]| {
        let issuer = |of: &&[&str]| json!({ "audiences": of, "jwksUrl": "https://id.example" });
        auth(&json!({ "issuers": audiences.iter().map(issuer).collect::<Vec<_>>() }))
    };
    let list = "spec.auth.issuers";
    vec![
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
    ]
}

fn keys() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    let keys = issuer(&json!({ "keySecret": key }));
    let list = "spec.auth.issuers";
    vec![
        below(
            "spec.auth",
            list,
            "holds a jwksUrl with http://",
            [
                auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "http://id" })) })),
                auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "http://id" })), "allowHttp": true })),
            ],
        ),
        below(
            "spec.auth.issuers[]",
            "spec.auth.issuers[].jwksUrl",
            "where the issuer's keys are",
            [auth(&json!({ "issuers": issuer(&json!({})) })), auth(&json!({ "issuers": keys }))],
        ),
        below(
            "spec.auth.issuers[]",
            "spec.auth.issuers[].jwksUrl",
            "where the issuer's keys are",
            [
                auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "https://id", "keySecret": key })) })),
                auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "https://id" })) })),
            ],
        ),
        here(
            "spec.auth.issuers[].jwksUrl",
            "whole IPv6 address",
            auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "https://[.]/" })) })),
            auth(&json!({ "issuers": issuer(&json!({ "jwksUrl": "https://[fd00::1]/" })) })),
        ),
    ]
}

fn authz() -> Vec<Pair> {
    let http = json!({ "mode": "Http", "url": "http://authz/", "namespace": "n" });
    let key = json!({ "name": "a", "key": "b" });
    let url = "spec.auth.authz.url";
    vec![
        below(
            "spec.auth",
            url,
            "must be https://",
            [auth(&json!({ "authz": http })), auth(&json!({ "authz": http, "allowHttp": true }))],
        ),
        here(
            url,
            "whole IPv6 address",
            auth(&json!({ "authz": { "mode": "Http", "url": "https://[.]/", "namespace": "n" } })),
            auth(&json!({ "authz": { "mode": "Http", "url": "https://[::1]/", "namespace": "n" } })),
        ),
        below(
            "spec.auth.authz",
            url,
            "must be there",
            [
                auth(&json!({ "authz": { "mode": "Http", "namespace": "n" } })),
                auth(&json!({ "authz": { "mode": "Http", "namespace": "n", "url": "https://a" } })),
            ],
        ),
        below(
            "spec.auth.authz",
            "spec.auth.authz.namespace",
            "must be there",
            [
                auth(&json!({ "authz": { "mode": "Http", "url": "https://a" } })),
                auth(&json!({ "authz": { "mode": "Allow" } })),
            ],
        ),
        below(
            "spec.auth.authz",
            "spec.auth.authz.mode",
            "must be Http where",
            [
                auth(&json!({ "authz": { "tokenSecret": key } })),
                auth(&json!({ "authz": { "mode": "Claims" } })),
            ],
        ),
    ]
}

fn doors() -> Vec<Pair> {
    let origins = |list: Value| spec(json!({ "doors": { "origins": list } }));
    let proxies = |list: Value| spec(json!({ "doors": { "trustedProxies": list } }));
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
    ]
}

fn timings() -> Vec<Pair> {
    let timings =
        |ttl: &str, renew: &str| spec(json!({ "timings": { "leaseTtl": ttl, "leaseRenew": renew } }));
    let drain = |deadline: &str, pre_stop: &str| {
        spec(json!({ "drain": { "deadline": deadline, "preStop": pre_stop } }))
    };
    vec![
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
