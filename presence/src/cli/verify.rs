//! `presence verify`: a line for each invariant that the store can answer for, and what was found against it.

use super::{Failure, args::VerifyArgs};
use crate::ports::session_store::Finding;
use serde::Serialize;
use std::io::Write;

/// In the words of `docs/ARCHITECTURE.md`.
const INVARIANTS: [(&str, &str); 6] = [
    ("I1", "every session id is either live or in history, and in history once"),
    ("I2", "at most one live session of an agent in a classroom"),
    ("I3", "of an agent in a classroom, `entered` and `left` alternate"),
    ("I4", "every event tells of a session, and every presence that began or ended was told of"),
    ("I5", "no ghosts: no session of a replica that is gone or has let go, no event that waits"),
    ("I7", "stays of an agent in a classroom do not overlap"),
];

#[derive(Debug, Serialize)]
struct Report<'a> {
    good: bool,
    invariants: Vec<Verdict<'a>>,
}

#[derive(Debug, Serialize)]
struct Verdict<'a> {
    invariant: &'a str,
    means: &'a str,
    good: bool,
    /// There may be more than were asked for.
    findings: Vec<&'a str>,
}

/// Prints the verdicts; fails where one is bad.
pub(super) fn report(findings: &[Finding], args: &VerifyArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let report = judge(findings);
    if args.json {
        let json =
            serde_json::to_string(&report).map_err(|error| Failure::other("print the report", error))?;
        writeln!(out, "{json}")?;
    } else {
        print(&report, args.limit, out)?;
    }
    let bad: Vec<_> = report.invariants.iter().filter(|v| !v.good).map(|v| v.invariant).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::plain(format!("the store violates {}", bad.join(", "))))
}

fn judge(findings: &[Finding]) -> Report<'_> {
    let verdict = |(invariant, means)| {
        let against = findings.iter().filter(|finding| finding.invariant == invariant);
        let findings: Vec<_> = against.map(|finding| finding.what.as_str()).collect();
        Verdict { invariant, means, good: findings.is_empty(), findings }
    };
    Report { good: findings.is_empty(), invariants: INVARIANTS.map(verdict).into() }
}

fn print(report: &Report<'_>, limit: u32, out: &mut dyn Write) -> Result<(), Failure> {
    for Verdict { invariant, means, good, findings } in &report.invariants {
        writeln!(out, "{invariant}  {}  {means}", if *good { "good    " } else { "VIOLATED" })?;
        for what in findings {
            writeln!(out, "      {what}")?;
        }
        if findings.len() == limit as usize {
            writeln!(out, "      … perhaps more (--limit {limit})")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::text::Period;

    fn reported(findings: &[Finding], limit: u32, json: bool) -> (String, Result<(), Failure>) {
        let args = VerifyArgs { settled: Period::secs(30), limit, json };
        let mut out = Vec::new();
        let result = report(findings, &args, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    fn finding(invariant: &'static str, what: &str) -> Finding {
        Finding { invariant, what: what.into() }
    }

    #[test]
    fn a_good_store_is_a_line_for_each_invariant() {
        let (out, result) = reported(&[], 20, false);
        assert!(result.is_ok());
        assert_eq!(out.lines().count(), INVARIANTS.len());
        assert!(out.lines().all(|line| line.contains("  good  ")), "{out}");
    }

    #[test]
    fn what_was_found_is_below_its_invariant_and_the_exit_code_says_so() {
        let findings = [finding("I1", "session 7 is live and in history"), finding("I5", "event 3 waits")];
        let (out, result) = reported(&findings, 1, false);
        let failure = result.unwrap_err();
        assert_eq!((failure.exit_code(), failure.report().as_str()), (1, "the store violates I1, I5"));
        let lines: Vec<_> = out.lines().collect();
        assert!(lines[0].starts_with("I1  VIOLATED"), "{out}");
        assert_eq!(lines[1], "      session 7 is live and in history");
        assert!(lines[2].contains("--limit 1") && lines[3].starts_with("I2  good"), "{out}");
    }

    #[test]
    fn as_json_it_is_one_object_that_names_every_invariant() {
        let (out, result) = reported(&[finding("I3", "event 4 after event 3")], 20, true);
        assert!(result.is_err());
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["good"], false);
        assert_eq!(json["invariants"].as_array().unwrap().len(), INVARIANTS.len());
        assert_eq!(json["invariants"][2]["findings"][0], "event 4 after event 3");
        assert_eq!(json["invariants"][0]["good"], true);
    }
}
