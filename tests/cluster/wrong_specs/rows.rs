//! The table, by section of the spec.

use super::{Wrong, WrongChange};

mod backing;
mod network;
mod serving;
mod workload;

pub(super) fn all() -> impl Iterator<Item = &'static Wrong> {
    [backing::ROWS, serving::ROWS, network::ROWS, workload::ROWS].into_iter().flatten()
}

/// What is wrong with a name, and the name.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("a name of 41 characters", "a2345678901234567890123456789012345678901"),
    ("a name that begins with a digit", "1school"),
    ("a name with a dot", "school.example"),
];

/// What is wrong with a change, the field, and the specs before and after.
pub(super) const CHANGES: &[WrongChange] = &[
    WrongChange(
        "another stream: two revisions would not hear each other",
        "spec.nats.stream.name",
        r#"{"nats": {"stream": {"name": "one"}}}"#,
        r#"{"nats": {"stream": {"name": "two"}}}"#,
    ),
    WrongChange(
        "no word of the stream any more, which makes it the default",
        "spec.nats.stream.name",
        r#"{"nats": {"stream": {"name": "one"}}}"#,
        "{}",
    ),
    WrongChange(
        "another prefix in Redis: two revisions would keep two states",
        "spec.redis.keyPrefix",
        r#"{"redis": {"keyPrefix": "a:"}}"#,
        r#"{"redis": {"keyPrefix": "b:"}}"#,
    ),
    WrongChange(
        "another class of a load balancer that is there",
        "spec.service.loadBalancerClass",
        r#"{"service": {"type": "LoadBalancer", "loadBalancerClass": "a"}}"#,
        r#"{"service": {"type": "LoadBalancer", "loadBalancerClass": "b"}}"#,
    ),
];
