//! The Autobahn conformance suite against `/ws`: starts the echo example, which has the product's own handshake and
//! frames, lets `wstest` loose on it, and judges the report. Each case counts as one test.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::libtest::Tally;
use crate::servers::guard::{Launch, Server};
use crate::servers::run_folder::RunFolder;
use crate::workspace::Workspace;
use crate::{process, tools};

/// Speed, and compression, which is not offered.
const EXCLUDED: &[&str] = &["9.*", "12.*", "13.*"];
/// Fewer than these in a full run would mean that the suite broke off.
const CASES: u64 = 247;
const LIMIT: Duration = Duration::from_mins(15);

/// `cases` are patterns like `7.*`; none means all.
pub(crate) fn run(workspace: &Workspace, cases: &[String]) -> Result<Tally> {
    let wstest = tools::autobahn::ensure()?;
    process::run(workspace.cargo().args(["build", "--quiet", "--workspace", "--example", "echo"]))?;
    let run_folder = RunFolder::make()?;
    let echo = start_echo(&run_folder, &workspace.built("debug/examples", "echo"))?;
    let report = workspace.target().join("autobahn");
    let index = drive(&wstest, &run_folder.of("wstest")?, &report, echo.port, cases)?;
    drop(echo);
    let mut verdicts = verdicts(&index)?;
    verdicts.sort_by_key(|verdict| case_number(&verdict.case));
    let mut tally = summarise(&verdicts);
    if cases.is_empty() && tally.passed + tally.failed < CASES {
        println!("autobahn: {CASES} cases were to run, which counts as one failed");
        tally.failed += 1;
    }
    if tally.failed > 0 {
        println!("autobahn: what was sent and received is in {}", report.join("index.html").display());
    }
    Ok(tally)
}

fn start_echo(run_folder: &RunFolder, echo: &Path) -> Result<Server> {
    Server::start(&Launch {
        name: "echo",
        folder: &run_folder.of("echo")?,
        command: &|port| vec![OsString::from(echo), format!("127.0.0.1:{port}").into()],
        ready: &|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
        run_as: None,
        stop: Signal::TERM,
    })
}

/// Runs the suite and returns its `index.json`.
fn drive(wstest: &Path, folder: &Path, report: &Path, port: u16, cases: &[String]) -> Result<Value> {
    if report.exists() {
        fs::remove_dir_all(report).context("remove the last Autobahn report")?;
    }
    let all = ["*".to_owned()];
    let spec = json!({
        "outdir": report,
        "servers": [{ "agent": "presence", "url": format!("ws://127.0.0.1:{port}/ws") }],
        "cases": if cases.is_empty() { &all[..] } else { cases },
        "exclude-cases": EXCLUDED,
        "exclude-agent-cases": {},
    });
    let spec_file = folder.join("fuzzingclient.json");
    fs::write(&spec_file, spec.to_string()).context("write the Autobahn specification")?;
    let mut command = Command::new(wstest);
    command.current_dir(folder).env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec_file);
    let mut said = Vec::new();
    let status = process::stream(&mut command, Some(LIMIT), |line| said.push(line.to_owned()))?;
    let index = report.join("index.json");
    if !status.success() || !index.exists() {
        let tail = said[said.len().saturating_sub(20)..].join("\n");
        bail!("`{}` made no report ({status}):\n{tail}", process::describe(&command));
    }
    let text = fs::read_to_string(&index).context("read the Autobahn report")?;
    serde_json::from_str(&text).context("read the Autobahn report")
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    case: String,
    behavior: String,
    close: String,
}

impl Verdict {
    fn passed(&self) -> bool {
        matches!(self.behavior.as_str(), "OK" | "NON-STRICT" | "INFORMATIONAL")
            && matches!(self.close.as_str(), "OK" | "INFORMATIONAL")
    }
}

fn verdicts(index: &Value) -> Result<Vec<Verdict>> {
    let cases = index["presence"].as_object().context("the Autobahn report has no agent `presence`")?;
    let word = |case: &Value, key: &str| case[key].as_str().unwrap_or("absent").to_owned();
    let verdict = |(case, found): (&String, &Value)| Verdict {
        case: case.clone(),
        behavior: word(found, "behavior"),
        close: word(found, "behaviorClose"),
    };
    Ok(cases.iter().map(verdict).collect())
}

fn summarise(verdicts: &[Verdict]) -> Tally {
    let mut tally = Tally::default();
    for verdict in verdicts {
        if verdict.passed() {
            tally.passed += 1;
        } else {
            println!("autobahn: case {} FAILED: {}, close {}", verdict.case, verdict.behavior, verdict.close);
            tally.failed += 1;
        }
    }
    let of = |behavior: &str| verdicts.iter().filter(|verdict| verdict.behavior == behavior).count();
    let (strict, lax, informational) = (of("OK"), of("NON-STRICT"), of("INFORMATIONAL"));
    println!(
        "autobahn: {} cases: {strict} strictly OK, {lax} non-strict, {informational} informational, {} failed",
        verdicts.len(),
        tally.failed
    );
    tally
}

/// `7.13.1` sorts behind `7.9.2`.
fn case_number(case: &str) -> Vec<u32> {
    case.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_passes_by_behaviour_and_by_close() {
        let report = json!({ "presence": {
            "1.1.1": { "behavior": "OK", "behaviorClose": "OK" },
            "6.4.1": { "behavior": "NON-STRICT", "behaviorClose": "OK" },
            "7.1.6": { "behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL" },
            "7.9.2": { "behavior": "OK", "behaviorClose": "FAILED" },
            "7.13.1": { "behavior": "FAILED", "behaviorClose": "OK" },
            "2.1": { "behavior": "OK", "behaviorClose": "UNCLEAN" },
            "2.2": { "behavior": "OK" },
        }});
        assert_eq!(summarise(&verdicts(&report).unwrap()), Tally { passed: 3, failed: 4 });
    }

    #[test]
    fn a_report_about_somebody_else_is_an_error() {
        assert!(verdicts(&json!({ "other": {} })).is_err());
    }

    #[test]
    fn cases_are_ordered_by_number() {
        assert!(case_number("7.9.2") < case_number("7.13.1"));
    }
}
