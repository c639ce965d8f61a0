//! The runbook is complete: every reason that a condition can have has its entry in docs/OPERATIONS.md, and no entry is about a
//! reason that does not exist. What the page and the alerts say of metrics is about metrics that exist, too.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails like a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use presence_operator::crd::Reason;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Heading and text of each entry below "## Reasons".
fn entries() -> Vec<(String, String)> {
    let page = read("docs/OPERATIONS.md");
    let (_, reasons) = page.split_once("\n## Reasons\n").expect("the page has a part of reasons");
    let reasons = reasons.split("\n## ").next().unwrap();
    let entries = reasons.split("\n### ").skip(1);
    entries
        .map(|entry| {
            let (name, text) = entry.split_once('\n').unwrap();
            (name.to_owned(), text.to_owned())
        })
        .collect()
}

#[test]
fn every_reason_has_its_entry_and_no_entry_is_about_nothing() {
    let written: Vec<String> = entries().into_iter().map(|(name, _)| name).collect();
    let known: Vec<String> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
    let of = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<String> = of(&known).difference(&of(&written)).cloned().collect();
    let idle: Vec<String> = of(&written).difference(&of(&known)).cloned().collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md has no entry for {missing:?}");
    assert!(idle.is_empty(), "docs/OPERATIONS.md has entries for {idle:?}, which are no reasons");
    assert_eq!(written.len(), known.len(), "an entry is there twice");
}

#[test]
fn every_entry_says_what_it_means_and_what_to_do() {
    for (name, text) in entries() {
        let (means, todo) =
            text.split_once("*Do:*").unwrap_or_else(|| panic!("{name} does not say what to do"));
        assert!(means.trim().len() > 10, "{name} does not say what it means");
        assert!(todo.trim().len() > 5, "{name} does not say what to do");
    }
}

#[test]
fn links_within_the_page_lead_to_a_heading() {
    let page = read("docs/OPERATIONS.md");
    let headings: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    for link in page.split("](#").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(headings.contains(link), "#{link} leads nowhere");
    }
}

/// Words that begin like a metric of ours, in the page and the alerts.
fn metrics_named() -> BTreeSet<String> {
    let texts = ["docs/OPERATIONS.md", "examples/alerts.yaml"].map(read).join("\n");
    let words = texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("presence_")).map(str::to_owned).collect()
}

/// The texts of a folder that say which metrics there are.
fn sources(folder: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    text
}

/// Counters end in `_total` for whoever reads them, histograms in `_count` and the like, and a unit may be put before that.
fn is_registered(sources: &str, name: &str) -> bool {
    let ends = ["", "_total", "_seconds", "_bucket", "_seconds_bucket", "_count", "_seconds_count"];
    let names = ends.iter().filter_map(|end| name.strip_suffix(end));
    names.into_iter().any(|name| sources.contains(&format!("\"{name}\"")))
}

#[test]
fn metrics_that_are_named_exist() {
    let named = metrics_named();
    assert!(named.len() > 15, "{named:?}");
    let (server, operator) = (sources("presence/src/telemetry"), sources("operator/src/telemetry"));
    for metric in named {
        let found = match metric.strip_prefix("presence_operator_") {
            Some(name) => is_registered(&operator, name),
            None => is_registered(&server, metric.trim_start_matches("presence_")),
        };
        assert!(found, "{metric} is no metric");
    }
}
