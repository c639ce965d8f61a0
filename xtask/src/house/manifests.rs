//! Directions between crates, from the manifests: `core ← api ← {presence, operator, checker, tests, bench}`, the
//! checker for whoever leaves a history behind, and xtask on its own. Directions inside a crate are in `layers.rs`.

use serde_json::Value;

use super::Finding;

struct Rule {
    package: &'static str,
    /// The workspace's crates that it may use, in any kind of dependency.
    ours: &'static [&'static str],
    /// Those that only its tests may use.
    tests: &'static [&'static str],
    /// If given, all that its normal dependencies may be.
    only: Option<&'static [&'static str]>,
}

const CHECKER: &str = "presence-checker";

const RULES: &[Rule] = &[
    Rule { package: "presence-core", ours: &[], tests: &[], only: Some(&["serde", "thiserror"]) },
    Rule { package: "presence-api", ours: &["presence-core"], tests: &[], only: None },
    // Its tests are simulated whole, and judged.
    Rule { package: "presence", ours: &["presence-core", "presence-api"], tests: &[CHECKER], only: None },
    Rule { package: "presence-operator", ours: &["presence-core", "presence-api"], tests: &[], only: None },
    // It judges what others wrote, and does nothing itself.
    Rule {
        package: CHECKER,
        ours: &["presence-core", "presence-api"],
        tests: &[],
        only: Some(&["presence-core", "presence-api", "serde", "serde_json", "thiserror"]),
    },
    // These speak to presence and the operator over the wire.
    Rule {
        package: "presence-tests",
        ours: &["presence-core", "presence-api", CHECKER],
        tests: &[],
        only: None,
    },
    Rule {
        package: "presence-bench",
        ours: &["presence-core", "presence-api", CHECKER],
        tests: &[],
        only: None,
    },
    // It is compared with presence, and shares nothing with it.
    Rule { package: "presence-reference", ours: &[], tests: &[], only: None },
    Rule { package: "xtask", ours: &[], tests: &[], only: None },
];

pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let ours: Vec<&str> = packages.iter().map(|package| name(package)).collect();
    packages.iter().flat_map(|package| of_package(package, &ours)).collect()
}

fn of_package(package: &Value, workspace: &[&str]) -> Vec<Finding> {
    let own = name(package);
    let Some(rule) = RULES.iter().find(|rule| rule.package == own) else {
        return vec![Finding::of(own, "a new crate: say in xtask's house rules what it may depend on")];
    };
    let mut findings = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = name(dependency);
        let for_tests = dependency["kind"] == "dev" && rule.tests.contains(&other);
        if workspace.contains(&other) && !rule.ours.contains(&other) && !for_tests {
            findings.push(Finding::of(own, format!("may not depend on {other}")));
        }
        let normal = dependency["kind"].is_null();
        if rule.only.is_some_and(|only| normal && !only.contains(&other)) {
            findings.push(Finding::of(own, format!("is pure and may not depend on {other}")));
        }
    }
    findings
}

fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whats(packages: &Value) -> Vec<String> {
        check(&json!({ "packages": packages }))
            .into_iter()
            .map(|it| format!("{} {}", it.place, it.what))
            .collect()
    }

    #[test]
    fn the_core_uses_next_to_nothing() {
        let found = whats(&json!([
            { "name": "presence-api", "dependencies": [] },
            { "name": "presence-core", "dependencies": [
                { "name": "serde", "kind": null }, { "name": "proptest", "kind": "dev" },
                { "name": "tokio", "kind": null }, { "name": "presence-api", "kind": "dev" },
            ] },
        ]));
        let expected = [
            "presence-core is pure and may not depend on tokio",
            "presence-core may not depend on presence-api",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn presence_operator_tests_and_bench_do_not_use_each_other() {
        let found = whats(&json!([
            { "name": "presence", "dependencies": [{ "name": "presence-operator", "kind": null }] },
            { "name": "presence-operator", "dependencies": [{ "name": "presence", "kind": "dev" }] },
            { "name": "presence-tests", "dependencies": [{ "name": "presence", "kind": null }] },
            { "name": "presence-bench", "dependencies": [{ "name": "presence", "kind": "build" }] },
            { "name": "xtask", "dependencies": [{ "name": "presence", "kind": null }] },
        ]));
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn the_checker_is_pure_and_presence_only_tests_with_it() {
        let found = whats(&json!([
            { "name": "presence-checker", "dependencies": [
                { "name": "presence-api", "kind": null }, { "name": "tokio", "kind": null },
                { "name": "proptest", "kind": "dev" }, { "name": "presence", "kind": "dev" },
            ] },
            { "name": "presence", "dependencies": [{ "name": "presence-checker", "kind": "dev" }] },
            { "name": "presence-operator", "dependencies": [{ "name": "presence-checker", "kind": "dev" }] },
            { "name": "presence-bench", "dependencies": [{ "name": "presence-checker", "kind": null }] },
            { "name": "presence-tests", "dependencies": [{ "name": "presence-checker", "kind": null }] },
        ]));
        let expected = [
            "presence-checker is pure and may not depend on tokio",
            "presence-checker may not depend on presence",
            "presence-operator may not depend on presence-checker",
        ];
        assert_eq!(found, expected);
        let in_earnest = json!([
            { "name": "presence", "dependencies": [{ "name": "presence-checker", "kind": null }] },
            { "name": "presence-checker", "dependencies": [] },
        ]);
        assert_eq!(whats(&in_earnest), ["presence may not depend on presence-checker"]);
    }

    #[test]
    fn a_crate_nobody_thought_of_is_seen() {
        assert_eq!(whats(&json!([{ "name": "new", "dependencies": [] }])).len(), 1);
    }
}
