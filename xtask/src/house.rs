//! The house rules: what the compiler and clippy cannot prove about this workspace.
//!
//! This file owns the list of rules and the report. Each rule is a pure function over file texts, in a file of its
//! own, with tests that show it catching a violation. Function length is clippy's (`too_many_lines`).

mod layers;
mod machine_paths;
mod manifests;
mod purity;
mod reasons;
mod rust_path;
mod rust_token;
mod shape;
mod spawns;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A file of the repository: its path from the root, with `/`, and its text.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Warn,
    Fail,
}

/// One violation.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Path, or path and line.
    pub(crate) place: String,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, place: format!("{path}:{line}"), what: what.into() }
    }

    pub(crate) fn of(path: &str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, place: path.to_owned(), what: what.into() }
    }
}

/// Rules that look at one file at a time.
const FILE_RULES: &[fn(&SourceFile) -> Vec<Finding>] =
    &[shape::check, layers::check, spawns::check, purity::check, reasons::check, machine_paths::check];

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut findings = manifests::check(&workspace.metadata);
    for path in workspace.files()? {
        let full = workspace.root.join(&path);
        if !full.is_file() {
            continue; // deleted but not yet committed, or a link to nowhere
        }
        let bytes = std::fs::read(&full).with_context(|| format!("read {path}"))?;
        // What is not text has no rules.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let file = SourceFile { path, text };
        findings.extend(FILE_RULES.iter().flat_map(|rule| rule(&file)));
    }
    report(&findings)
}

fn report(findings: &[Finding]) -> Result<()> {
    for finding in findings {
        let mark = match finding.severity {
            Severity::Warn => "warning",
            Severity::Fail => "error",
        };
        println!("  {mark}: {}: {}", finding.place, finding.what);
    }
    let failures = findings.iter().filter(|finding| finding.severity == Severity::Fail).count();
    if failures > 0 {
        bail!("{failures} violation(s) of the house rules");
    }
    Ok(())
}

#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_fails_and_a_warning_does_not() {
        let warning = Finding { severity: Severity::Warn, place: "a.rs".into(), what: "long".into() };
        assert!(report(&[warning]).is_ok());
        assert!(report(&[Finding::of("a.rs", "too long")]).is_err());
    }
}
