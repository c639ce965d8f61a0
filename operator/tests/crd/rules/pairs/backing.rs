//! `image`, `database`, `nats`, `redis`, and where is told of it.

use serde_json::{Value, json};

use super::{Pair, below, change, here, spec};

pub(super) fn pairs() -> Vec<Pair> {
    [image_and_database(), nats(), kept(), collectors()].into_iter().flatten().collect()
}

fn image_and_database() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    let migrate = |how: &str| spec(json!({ "database": { "migrate": how, "migrationUrlSecret": key } }));
    let digest = format!("sha256:{}", "0".repeat(64));
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
    ]
}

fn nats() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    let nats = |patch: Value| spec(json!({ "nats": patch }));
    let one_way = "one way to log in";
    let together = "user and passwordSecret belong together";
    vec![
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
    ]
}

/// What cannot be changed.
fn kept() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    let prefix = |prefix: &str| spec(json!({ "redis": { "urlSecret": key, "keyPrefix": prefix } }));
    let stream = |name: &str| spec(json!({ "nats": { "stream": { "name": name } } }));
    vec![
        change(
            here("spec.nats.stream.name", "cannot be changed", stream("other"), stream("one")),
            stream("one"),
        ),
        change(here("spec.redis.keyPrefix", "cannot be changed", prefix("b:"), prefix("a:")), prefix("a:")),
        change(
            here("spec.redis.keyPrefix", "cannot be changed", prefix("b:"), spec(json!({}))),
            prefix("a:"),
        ),
    ]
}

fn collectors() -> Vec<Pair> {
    let key = json!({ "name": "a", "key": "b" });
    vec![
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
