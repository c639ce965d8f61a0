//! `presence-core` is pure: time, chance, the machine and the network arrive as arguments. Its manifest keeps crates
//! out (`manifests.rs`); this rule keeps out what the standard library offers. No exemption for tests.

use super::rust_path::{module_of, paths};
use super::rust_token::tokens;
use super::{Finding, SourceFile};

/// What a path may not go through.
const IMPURE: &[&[&str]] = &[
    &["SystemTime"],
    &["Instant", "now"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "io"],
];

/// What a path may not start with.
const FOREIGN: &[&str] = &["rand", "tokio", "getrandom", "fastrand"];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.path.starts_with("core/src/") {
        return Vec::new();
    }
    let module = module_of(&file.path).unwrap_or_default();
    paths(&tokens(&file.text), &module, "presence_core")
        .iter()
        .filter(|path| {
            let foreign =
                !path.local && path.segments.len() > 1 && FOREIGN.contains(&path.segments[0].as_str());
            foreign || IMPURE.iter().any(|impure| path.goes_through(impure))
        })
        .map(|path| {
            let what = format!("`{}`: the core is pure; pass it in as an argument", path.text());
            Finding::at(&file.path, path.line, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn clocks_chance_and_machine_are_seen() {
        for text in [
            "use std::time::SystemTime;",
            "let t = Instant::now();",
            "let t = std::time::Instant::now();",
            "use rand::Rng;",
            "use tokio::sync::mpsc;",
            "std::env::var(\"X\")",
            "use std::{env, fmt};",
            "use std::fs;",
            "use std::net::IpAddr;",
            "use std::thread;",
        ] {
            assert_eq!(check(&file("core/src/session.rs", text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn durations_words_and_other_crates_are_fine() {
        let text =
            "//! no SystemTime here\nuse std::time::{Duration, Instant}; let rand = 1; let tokio = rand;";
        assert!(check(&file("core/src/session.rs", text)).is_empty());
        assert!(check(&file("api/src/lib.rs", "use std::fs;")).is_empty());
    }
}
