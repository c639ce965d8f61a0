//! What the operator makes of two resources, to the byte. `PRESENCE_TEST_BLESS=1` writes the files anew.

use std::{fs, path::PathBuf};

use presence_operator::desired::{Desired, render, render_file};

use super::fixture::{FULL, SMALLEST, desired, facts, resource, settings_text, template};

fn compare(file: &str, text: &str, meaning: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("PRESENCE_TEST_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let differing = golden.lines().zip(text.lines()).position(|(was, is)| was != is);
    let line = differing.unwrap_or_else(|| golden.lines().count().min(text.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    assert!(
        golden == text,
        "{meaning}\n{file}, line {}:\n  was: {}\n  is:  {}\nWhere that is meant, run this test with \
         PRESENCE_TEST_BLESS=1, and say so in CHANGELOG.md.",
        line + 1,
        at(&golden),
        at(text)
    );
}

/// All that a pod is made of. Its revision is the hash of this.
fn pods(of: &Desired) -> String {
    let template = serde_json::to_string_pretty(template(&of.deployment)).unwrap();
    format!("revision {}\n\n{template}\n\n{}", of.revision, settings_text(of))
}

#[test]
fn pods_are_as_every_former_operator_made_them() {
    for (name, text) in [("smallest", SMALLEST), ("full", FULL)] {
        let text = pods(&desired(&resource(text)));
        let meaning =
            "This changes the pods of everybody who upgrades the operator: each of their servers restarts.";
        compare(&format!("{name}.pods.txt"), &text, meaning);
    }
}

#[test]
fn objects_are_as_they_were() {
    for (name, text) in [("smallest", SMALLEST), ("full", FULL)] {
        let text = render(&resource(text), &facts()).unwrap();
        let meaning = "This changes objects of everybody who upgrades the operator, if not their pods.";
        compare(&format!("{name}.objects.yaml"), &text, meaning);
    }
}

#[test]
fn a_file_is_rendered_without_a_cluster() {
    let text = render_file(&SMALLEST.replace(", namespace: classes", "")).unwrap();
    assert!(text.contains("  namespace: default\n") && text.contains("  replicas: 3\n"), "{text}");
    assert!(!text.contains("ownerReferences"), "{text}");
    for document in text.split("---\n").skip(1) {
        let object: serde_json::Value = serde_saphyr::from_str(document).unwrap();
        assert!(object["kind"].is_string() && object["metadata"]["name"].is_string(), "{document}");
    }
}

#[test]
fn what_is_no_resource_is_not_rendered() {
    let refusal = |text: &str| render_file(text).unwrap_err().to_string();
    let other = "Deployment of apps/v1 is not a PresenceCluster of presence.rs/v1alpha1";
    assert_eq!(refusal("{apiVersion: apps/v1, kind: Deployment}"), other);
    assert!(refusal("a: [").starts_with("not YAML"));
    assert!(refusal(&SMALLEST.replace("urlSecret", "url")).contains("urlSecret"));
    assert!(refusal(&SMALLEST.replace("name: school", "name: School")).starts_with("metadata.name"));
}
