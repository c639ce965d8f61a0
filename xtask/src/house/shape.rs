//! The shape of every Rust file: its length, its opening `//!`, and no `#[allow]`. Functions are clippy's.

use std::path::Path;

use super::rust_token::{Token, attribute_end, tokens};
use super::{Finding, Severity, SourceFile};

const WARN_LINES: usize = 400;
const FAIL_LINES: usize = 600;

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if Path::new(&file.path).extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(length(file));
    if !file.text.starts_with("//!") {
        findings.push(Finding::at(&file.path, 1, "open with `//!`: what the file owns, what it never does"));
    }
    findings.extend(allows(file));
    findings
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    let severity = match lines {
        _ if lines > FAIL_LINES => Severity::Fail,
        _ if lines > WARN_LINES => Severity::Warn,
        _ => return None,
    };
    let what = format!("{lines} lines; up to {WARN_LINES} is fine, {FAIL_LINES} is the most");
    Some(Finding { severity, place: file.path.clone(), what })
}

/// Also within `cfg_attr`, which clippy does not look into for the configuration it does not build.
fn allows(file: &SourceFile) -> Vec<Finding> {
    let tokens = tokens(&file.text);
    (0..tokens.len())
        .filter_map(|at| Some(&tokens[at..attribute_end(&tokens, at)?]))
        .filter(|attribute| {
            attribute.windows(2).any(|pair| pair[0].ident() == Some("allow") && pair[1].is('('))
        })
        .filter_map(|attribute: &[Token]| attribute.first())
        .map(|token| Finding::at(&file.path, token.line, "use `expect` with a reason instead of `allow`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn long_files_warn_and_longer_ones_fail() {
        let of = |lines: usize| check(&file("core/src/x.rs", &format!("//!{}", "\n//".repeat(lines - 1))));
        assert!(of(400).is_empty());
        assert_eq!(of(401)[0].severity, Severity::Warn);
        assert_eq!(of(600)[0].severity, Severity::Warn);
        assert_eq!(of(601)[0].severity, Severity::Fail);
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert_eq!(check(&file("presence/build.rs", "fn main() {}\n")).len(), 1);
        assert_eq!(check(&file("presence/build.rs", "// x\n//! y\n")).len(), 1);
        assert_eq!(check(&file("core/src/lib.rs", "")).len(), 1);
        assert!(check(&file("docs/x.md", "# no")).is_empty());
    }

    #[test]
    fn allow_is_seen_in_every_place() {
        for attribute in
            ["#[allow(dead_code)]", "#![allow(x)]", "#[cfg_attr(test, allow(x, reason = \"y\"))]"]
        {
            let text = format!("//! x\n{attribute} fn f() {{}}");
            assert_eq!(check(&file("a.rs", &text)).len(), 1, "{attribute}");
        }
        let fine = "//! #[allow(x)]\n#[expect(x, reason = \"allow(\")] fn allow() { allow(1) }";
        assert!(check(&file("a.rs", fine)).is_empty());
    }
}
