//! Only `presence/src/lifecycle/` starts tasks and threads: there each has a name, an owner and an end. Other code
//! hands a future to the lifecycle's own type, by a method that is not called spawn. Test modules are exempt.

use super::rust_path::{is_test_module, module_of, paths};
use super::rust_token::{Token, tokens, without_tests};
use super::{Finding, SourceFile};

/// What starts something, wherever it is named.
const STARTERS: &[&[&str]] = &[
    &["tokio", "spawn"],
    &["task", "spawn"],
    &["thread", "spawn"],
    &["thread", "scope"],
    &["task", "spawn_blocking"],
    &["task", "spawn_local"],
    &["task", "block_in_place"],
];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.path.starts_with("presence/src/") {
        return Vec::new();
    }
    let module = module_of(&file.path).unwrap_or_default();
    if is_test_module(&module) || module.first().is_some_and(|first| first == "lifecycle") {
        return Vec::new();
    }
    let tokens = without_tests(&tokens(&file.text));
    let mut findings = Vec::new();
    let mut found = |line, name: &str| {
        let what = format!("`{name}`: only lifecycle/ starts tasks and threads; hand it the future");
        findings.push(Finding::at(&file.path, line, what));
    };
    for path in paths(&tokens, &module, "presence") {
        if STARTERS.iter().any(|starter| path.goes_through(starter)) {
            found(path.line, &path.text());
        }
    }
    for window in tokens.windows(3) {
        if let Some(name) = spawning_call(window) {
            found(window[1].line, &format!(".{name}("));
        }
    }
    findings
}

/// `.spawn(`, `.spawn_on(`, …: of a runtime, a tracker, a set or a thread builder.
fn spawning_call(window: &[Token]) -> Option<&str> {
    let name = window[1].ident().filter(|name| *name == "spawn" || name.starts_with("spawn_"))?;
    let called = window[2].is('(') || window[2].is(':');
    (window[0].is('.') && called).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&file(path, text)).len()
    }

    #[test]
    fn every_way_to_spawn_is_seen() {
        for text in [
            "tokio::spawn(async {})",
            "use tokio::{net, spawn};",
            "use tokio::task::{self, spawn_blocking};",
            "use tokio::task; fn f() { task::spawn(x) }",
            "std::thread::spawn(|| ())",
            "tracker.spawn(x)",
            "set.spawn_on(x, &handle)",
            "std::thread::Builder::new().spawn(|| ())",
            "set.spawn::<X>(x)",
        ] {
            assert_eq!(found("presence/src/doors/native.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn lifecycle_and_tests_may() {
        assert_eq!(found("presence/src/lifecycle/tasks.rs", "tokio::spawn(x)"), 0);
        assert_eq!(found("presence/src/hub.rs", "#[cfg(test)] mod tests { fn f() { tokio::spawn(x); } }"), 0);
        assert_eq!(found("presence/src/hub/tests.rs", "tokio::spawn(x)"), 0);
        assert_eq!(found("bench/src/main.rs", "tokio::spawn(x)"), 0);
    }

    #[test]
    fn other_code_hands_futures_over() {
        assert_eq!(found("presence/src/app.rs", "tasks.start(\"reaper\", future); // tokio::spawn"), 0);
    }
}
