//! The process's environment as settings: which variables are ours, and the key that each stands for.
//!
//! `PRESENCE_STORE__URL` is `store.url`. An empty variable is as if it were not set. A variable that is ours by its
//! name and no key is an error, unless Kubernetes or our own tools put it there.

use super::{
    Report,
    schema::{Kind, Shape},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, ffi::OsString};

const PREFIX: &str = "PRESENCE_";

/// What the server reads of its environment, at once and only once.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: a value may be a secret.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let ours = |(name, value): (N, V)| {
            let name = name.into().into_string().ok()?;
            let kept = name.starts_with(PREFIX) || name == "HOSTNAME";
            // What is no UTF-8 keeps a mark that no grammar accepts.
            let value: OsString = value.into();
            kept.then(|| (name, value.to_string_lossy().into_owned()))
        };
        Self(variables.into_iter().filter_map(ours).collect())
    }
}

/// The variable that a key is set by.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Puts the variables over what is in the tree.
pub(super) fn overlay(environment: &Environment, report: &mut Report) {
    for (name, value) in &environment.0 {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if value.is_empty() || is_excused(rest) {
            continue;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".");
        report.sources.variables.insert(key.clone(), name.clone());
        match Shape::at(&key) {
            None => report.problems.push(report.sources.unknown(&key, &value.as_str().into())),
            Some(shape) if shape.kind() == Kind::Section => {
                let why = "this is a section; its keys are set one by one, with `__` between section and key";
                let problem = report.sources.explain(&key, Some(&Value::Object(Map::new())), why);
                report.problems.push(problem);
            }
            Some(shape) => put(&mut report.tree, &key, read(shape, value)),
        }
    }
}

/// Variables that begin like ours and are none.
fn is_excused(rest: &str) -> bool {
    let own = ["CONFIG", "TOKEN"].contains(&rest)
        || ["TEST_", "BENCH_", "XTASK_"].iter().any(|prefix| rest.starts_with(prefix));
    own || is_service_link(rest)
}

/// Kubernetes tells every pod about the Services of its namespace; one called `presence`, or `presence-…`, yields
/// variables such as `PRESENCE_SERVICE_HOST` and `PRESENCE_PORT_8080_TCP_ADDR`. Our keys have `__` where these have `_`.
fn is_service_link(rest: &str) -> bool {
    if rest.contains("__") {
        return false;
    }
    let padded = format!("_{rest}");
    let is_port = |text: &str| {
        let mut parts = text.split('_');
        parts.next().is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
            && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
            && parts.next().is_none_or(|what| ["PROTO", "PORT", "ADDR"].contains(&what))
            && parts.next().is_none()
    };
    padded.ends_with("_SERVICE_HOST")
        || padded.ends_with("_PORT") && !padded.contains("_PORT_")
        || padded.contains("_SERVICE_PORT_")
        || padded.rsplit_once("_PORT_").is_some_and(|(_, tail)| is_port(tail))
}

/// The value that a variable's text stands for. Text that does not fit stays text, and the checks name it.
fn read(shape: Shape, text: &str) -> Value {
    let read = match shape.kind() {
        Kind::Whole => text.parse::<i64>().ok().map(Value::from),
        Kind::Number => text.parse::<f64>().ok().map(Value::from),
        Kind::Bool => text.parse::<bool>().ok().map(Value::from),
        Kind::List if text.trim_start().starts_with('[') => serde_json::from_str(text).ok(),
        Kind::List if shape.item().is_some_and(|item| item.kind() == Kind::Text) => {
            Some(text.split(',').map(|item| Value::from(item.trim())).collect())
        }
        Kind::Text | Kind::Section | Kind::List => None,
    };
    read.unwrap_or_else(|| text.into())
}

fn put(tree: &mut Value, key: &str, value: Value) {
    let mut place = tree;
    for step in key.split('.') {
        let Value::Object(entries) = place else { return };
        place = entries.entry(step).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_kubernetes_service_are_not_ours() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_PROTO",
            "PORT_8080_TCP_PORT",
            "PORT_8080_TCP_ADDR",
            "INTERNAL_SERVICE_HOST",
            "INTERNAL_PORT_8081_TCP_ADDR",
            "INTERNAL_PORT_8081_TCP_PORT",
        ] {
            assert!(is_excused(name), "{name}");
        }
        for name in ["STORE_URL", "STORE__PORT", "PORT_X_TCP", "PORT_80_TCP_EVIL", "SERVICE"] {
            assert!(!is_excused(name), "{name}");
        }
    }
}
