//! What the server is told is what it understands: docs/config.schema.json says so.

use presence_operator::desired::Desired;
use serde_json::Value;

use super::fixture::{FULL, SMALLEST, all, both, desired, resource, settings, template};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/config.schema.json")).unwrap()
}

/// Says what of `value` the server would refuse by its schema.
fn refused(schema: &Value, value: &Value, key: &str) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => refused(schema, value, &format!("{key}.{name}")),
                None => vec![format!("{key}.{name} is not a setting")],
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| refused(&schema["items"], item, key)).collect(),
        scalar if fits(schema, scalar) => vec![],
        scalar => vec![format!("{key}: {scalar} is not {schema}")],
    }
}

fn fits(schema: &Value, value: &Value) -> bool {
    let choices = schema["oneOf"].as_array();
    if let Some(choices) = choices {
        return choices.iter().any(|choice| choice["const"] == *value);
    }
    let types = &schema["type"];
    let is = |name: &str| types == name || types.as_array().is_some_and(|types| types.contains(&name.into()));
    let number = value.as_f64();
    let within = number.is_none_or(|number| {
        number >= schema["minimum"].as_f64().unwrap_or(f64::MIN)
            && number <= schema["maximum"].as_f64().unwrap_or(f64::MAX)
    });
    let is_period = schema["pattern"].as_str() != Some("^[0-9]+(ms|s|m|h|d)$")
        || value.as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
    within
        && is_period
        && match value {
            Value::String(_) => is("string"),
            Value::Bool(_) => is("boolean"),
            Value::Number(_) => is("integer") || is("number"),
            _ => false,
        }
}

#[test]
fn the_server_knows_every_setting() {
    let schema = schema();
    for of in both() {
        let wrong = refused(&schema, &settings(&desired(&of)), "");
        assert_eq!(wrong, Vec::<String>::new());
    }
}

#[test]
fn a_setting_that_the_server_does_not_know_would_be_found() {
    let schema = schema();
    for (section, key, value) in [
        ("store", "uri_file", "x".into()),
        ("store", "max_connections", 1.into()),
        ("store", "url_file", true.into()),
        ("session", "lease_ttl", "soon".into()),
        ("log", "format", "xml".into()),
    ] {
        let mut settings = settings(&desired(&resource(SMALLEST)));
        settings[section][key] = value;
        let wrong = refused(&schema, &settings, "");
        assert!(wrong.len() == 1 && wrong[0].contains(key), "{wrong:?}");
    }
}

/// `PRESENCE_STORE__URL_FILE` is `store.url_file`.
#[test]
fn the_server_knows_every_variable_that_containers_get() {
    let schema = schema();
    for of in both() {
        let desired = desired(&of);
        for object in desired.migration.iter().chain([&desired.deployment]) {
            let env = template(object)["spec"]["containers"][0]["env"].as_array().unwrap();
            for variable in env {
                let name = variable["name"].as_str().unwrap();
                let Some(key) = name.strip_prefix("PRESENCE_").filter(|key| *key != "CONFIG") else {
                    assert!(["POD_IP", "PRESENCE_CONFIG"].contains(&name), "{name}");
                    continue;
                };
                let key = key.to_ascii_lowercase();
                let found = key.split("__").try_fold(&schema, |at, step| at["properties"].get(step));
                assert!(found.is_some(), "{name} is not a setting");
            }
        }
    }
}

/// A file that a setting names, wherever it stands.
fn files(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(entries) => entries.values().flat_map(files).collect(),
        Value::Array(items) => items.iter().flat_map(files).collect(),
        Value::String(text) => {
            text.starts_with("/run/secrets/").then_some(text.as_str()).into_iter().collect()
        }
        _ => vec![],
    }
}

/// The files that a pod's volumes hold.
fn mounted(pod: &Value) -> Vec<String> {
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let sources = volumes.iter().filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
    let items = sources.flat_map(|source| source["secret"]["items"].as_array().unwrap());
    items.map(|item| format!("/run/secrets/presence/{}", item["path"].as_str().unwrap())).collect()
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items
}

#[test]
fn every_file_that_a_setting_names_is_mounted_and_no_other() {
    for of in both() {
        let desired = desired(&of);
        let settings = settings(&desired);
        let named = sorted(files(&settings).into_iter().map(str::to_owned));
        assert_eq!(named, sorted(mounted(template(&desired.deployment))));
        let job = template(desired.migration.as_ref().unwrap());
        let named = sorted(files(&job["spec"]["containers"][0]["env"]).into_iter().map(str::to_owned));
        assert_eq!(named, sorted(mounted(job)));
    }
}

fn secrets_of(pod: &Value) -> Vec<&str> {
    let sources = pod["spec"]["volumes"][0]["projected"]["sources"].as_array().unwrap();
    sources.iter().map(|source| source["secret"]["name"].as_str().unwrap()).collect()
}

#[test]
fn migrations_see_the_secrets_of_the_database_alone() {
    let job = |text: &str| {
        let desired = desired(&resource(text));
        secrets_of(template(desired.migration.as_ref().unwrap())).into_iter().map(str::to_owned).collect()
    };
    let seen: Vec<String> = job(SMALLEST);
    assert_eq!(seen, ["db"]);
    // The owner's URL has its own password: the other's is left out.
    let seen: Vec<String> = job(FULL);
    assert_eq!(seen, ["academy-db-owner", "authorities"]);
}

#[test]
fn no_secret_is_in_a_variable() {
    for of in both() {
        let desired = desired(&of);
        for object in all(&desired) {
            let text = object.value.to_string();
            assert!(!text.contains("secretKeyRef") && !text.contains("envFrom"), "{}", object.name);
        }
    }
}

fn at(desired: &Desired, key: &str) -> Value {
    settings(desired).pointer(key).cloned().unwrap_or_default()
}

#[test]
fn what_the_spec_leaves_out_is_as_its_schema_promises() {
    let mut of = resource(SMALLEST);
    assert_eq!(at(&desired(&of), "/public/origins"), serde_json::json!(["*"]));
    assert_eq!(at(&desired(&of), "/socketio/enabled"), false);
    assert_eq!(at(&desired(&of), "/native"), Value::Null);
    of.spec.doors.native.enabled = false;
    assert_eq!(at(&desired(&of), "/native"), serde_json::json!({"enabled": false}));
    let full = desired(&resource(FULL));
    assert_eq!(at(&full, "/socketio/enabled"), true);
    assert_eq!(at(&full, "/bus/url"), "tls://nats-0.nats:4222,tls://nats-1.nats:4223,tls://nats-2.nats");
}
