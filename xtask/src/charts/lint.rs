//! What kube-score, checkov and kubernetes-validate say of the rendered chart, of the examples, and of all that the operator would
//! make of them. They are to find nothing but what `charts/lint/exceptions.json` has with its reason, and all of that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{clusters, files, folder, read, render, values_files};
use crate::libtest::Tally;
use crate::tools::linters::Linters;
use crate::workspace::Workspace;
use crate::{process, tools};

const EXCEPTIONS: &str = "charts/lint/exceptions.json";
/// Every linter must find fault with it.
const BAD: &str = "charts/lint/bad.yaml";
/// One look at one file.
const LIMIT: Duration = Duration::from_mins(3);
static TOOLS: [Tool; 3] = [Tool::KubeScore, Tool::Checkov, Tool::Validate];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    KubeScore,
    Checkov,
    Validate,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::KubeScore => "kube-score",
            Self::Checkov => "checkov",
            Self::Validate => "kubernetes-validate",
        }
    }

    fn findings(self, of: &Lint<'_>, file: &Path) -> Result<Vec<Finding>> {
        let (mut command, read): (_, Reader) = match self {
            Self::KubeScore => (of.linters.kube_score(file), kube_score),
            Self::Checkov => (of.linters.checkov(file), checkov),
            Self::Validate => (of.linters.validate(of.workspace, file), validate),
        };
        let mut text = String::new();
        // Their exit code says whether there are findings, each in its own way.
        process::stream(&mut command, Some(LIMIT), |line| text.push_str(line))?;
        let said = serde_json::from_str(&text)
            .with_context(|| format!("{} printed no JSON: {text:.200}", self.name()))?;
        read(&said).with_context(|| format!("{} printed other JSON than is known: {text:.200}", self.name()))
    }
}

/// Nothing where the tool says something else than is known of it.
type Reader = fn(&Value) -> Option<Vec<Finding>>;

/// One thing that a tool finds wrong with one object.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    check: String,
    /// `Kind/name`.
    object: String,
    what: String,
}

fn kube_score(said: &Value) -> Option<Vec<Finding>> {
    /// All is well, in its figures.
    const GOOD: i64 = 10;
    let mut findings = Vec::new();
    for object in said.as_array()? {
        let name =
            format!("{}/{}", object["type_meta"]["kind"].as_str()?, object["object_meta"]["name"].as_str()?);
        for check in object["checks"].as_array()? {
            if check["skipped"] == true || check["grade"].as_i64()? >= GOOD {
                continue;
            }
            let comments = check["comments"].as_array().into_iter().flatten();
            let what: Vec<&str> = comments.filter_map(|comment| comment["summary"].as_str()).collect();
            let check = check["check"]["id"].as_str()?.to_owned();
            findings.push(Finding { check, object: name.clone(), what: what.join("; ") });
        }
    }
    Some(findings)
}

fn checkov(said: &Value) -> Option<Vec<Finding>> {
    if said["summary"]["parsing_errors"].as_i64()? > 0 || said["summary"]["resource_count"].as_i64()? == 0 {
        return None;
    }
    let failed = said["results"]["failed_checks"].as_array()?.iter();
    failed
        .map(|one| {
            // `Deployment.presence-system.presence-operator`; a name may have points in it, a namespace has none.
            let mut parts = one["resource"].as_str()?.splitn(3, '.');
            let (kind, name) = (parts.next()?, parts.nth(1)?);
            Some(Finding {
                check: one["check_id"].as_str()?.to_owned(),
                object: format!("{kind}/{name}"),
                what: one["check_name"].as_str()?.to_owned(),
            })
        })
        .collect()
}

fn validate(said: &Value) -> Option<Vec<Finding>> {
    let text = |one: &Value, key: &str| one[key].as_str().map(str::to_owned);
    let found = said.as_array()?.iter();
    found
        .map(|one| {
            Some(Finding {
                check: text(one, "check")?,
                object: text(one, "object")?,
                what: text(one, "what")?,
            })
        })
        .collect()
}

/// A finding that is put up with.
#[derive(Debug)]
struct Exception {
    tool: String,
    check: String,
    /// `Kind/name`, where the name may end in `*`.
    object: String,
    used: bool,
}

fn exceptions(text: &str) -> Result<Vec<Exception>> {
    let listed: Vec<Value> = serde_json::from_str(text).with_context(|| format!("read {EXCEPTIONS}"))?;
    let exception = |one: &Value| {
        let said =
            |key: &str| one[key].as_str().with_context(|| format!("{EXCEPTIONS}: {one} has no `{key}`"));
        if said("reason")?.len() < 20 {
            bail!("{EXCEPTIONS}: {one} has no reason to speak of");
        }
        if !TOOLS.iter().any(|tool| said("tool").is_ok_and(|name| name == tool.name())) {
            bail!("{EXCEPTIONS}: {one} names no tool that there is");
        }
        let (tool, check, object) = (said("tool")?.into(), said("check")?.into(), said("object")?.into());
        Ok(Exception { tool, check, object, used: false })
    };
    listed.iter().map(exception).collect()
}

impl Exception {
    fn covers(&self, tool: Tool, finding: &Finding) -> bool {
        let object = match self.object.strip_suffix('*') {
            Some(begin) => finding.object.starts_with(begin),
            None => finding.object == self.object,
        };
        self.tool == tool.name() && self.check == finding.check && object
    }
}

/// What is left of the findings after the exceptions.
fn left(tool: Tool, findings: Vec<Finding>, exceptions: &mut [Exception]) -> Vec<Finding> {
    let is_left = |finding: &Finding| {
        let mut covered = false;
        for exception in exceptions.iter_mut().filter(|exception| exception.covers(tool, finding)) {
            exception.used = true;
            covered = true;
        }
        !covered
    };
    findings.into_iter().filter(is_left).collect()
}

struct Lint<'a> {
    workspace: &'a Workspace,
    linters: Linters,
}

/// Counts one test for each file and tool, one for each tool that it finds anything at all, and one that no exception is idle.
pub(crate) fn lint(workspace: &Workspace) -> Result<Tally> {
    let lint = Lint { workspace, linters: Linters::ensure(workspace)? };
    let mut exceptions = exceptions(&read(workspace, EXCEPTIONS)?)?;
    let mut tally = Tally::default();
    for (file, tools) in subjects(workspace)? {
        for &tool in tools {
            let found = left(tool, tool.findings(&lint, &file)?, &mut exceptions);
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            for Finding { check, object, what } in &found {
                println!("lint: {}: {name}: {object}: {check}: {what}", tool.name());
            }
            count(&mut tally, found.is_empty(), &format!("{} on {name}", tool.name()));
        }
    }
    for tool in TOOLS {
        let found = tool.findings(&lint, &workspace.root.join(BAD))?;
        count(&mut tally, !found.is_empty(), &format!("{} finds fault with {BAD}", tool.name()));
    }
    let idle: Vec<&Exception> = exceptions.iter().filter(|exception| !exception.used).collect();
    for Exception { tool, check, object, .. } in &idle {
        println!("lint: nothing needs the exception of {tool}: {check} for {object}");
    }
    count(&mut tally, idle.is_empty(), "every exception is needed");
    Ok(tally)
}

fn count(tally: &mut Tally, good: bool, what: &str) {
    println!("lint: {what} ... {}", if good { "ok" } else { "FAILED" });
    tally.add(if good { Tally { passed: 1, failed: 0 } } else { Tally { passed: 0, failed: 1 } });
}

/// The chart with each file of values, and for each example what the operator would make of it, with the example itself.
/// Each with the tools that know any of its kinds.
fn subjects(workspace: &Workspace) -> Result<Vec<(PathBuf, &'static [Tool])>> {
    let helm = tools::helm::ensure()?;
    let mut found = Vec::new();
    for values in values_files(workspace)? {
        found.push((render(workspace, &helm, &values)?, TOOLS.as_slice()));
    }
    process::run(workspace.cargo().args(["build", "--quiet", "--workspace", "--bin", "presence-operator"]))?;
    let clusters = clusters(workspace)?;
    for example in files(workspace, "examples", ".yaml")? {
        let itself = read(workspace, &example)?;
        let (made, tools) = if clusters.contains(&example) {
            (made(workspace, &example)?, TOOLS.as_slice())
        } else {
            (String::new(), [Tool::Validate].as_slice())
        };
        let to = folder(workspace)?.join(example.replace('/', "-"));
        std::fs::write(&to, format!("{made}\n---\n{itself}"))
            .with_context(|| format!("write {}", to.display()))?;
        found.push((to, tools));
    }
    Ok(found)
}

/// In a namespace, as whoever applies an example does it.
fn made(workspace: &Workspace, example: &str) -> Result<String> {
    let name = "\nmetadata:\n  name: school\n";
    let text = read(workspace, example)?;
    if !text.contains(name) {
        bail!("{example} is not of a PresenceCluster named school");
    }
    let to = folder(workspace)?.join("example.yaml");
    std::fs::write(&to, text.replace(name, &format!("{name}  namespace: school\n")))
        .with_context(|| format!("write {}", to.display()))?;
    let mut render = Command::new(workspace.built("debug", "presence-operator"));
    let made = process::output(render.args(["render", "--file"]).arg(&to))?;
    if !made.contains("kind: Deployment") {
        bail!("the operator makes no Deployment of {example}");
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finding(check: &str, object: &str) -> Finding {
        Finding { check: check.to_owned(), object: object.to_owned(), what: "w".to_owned() }
    }

    #[test]
    fn what_the_tools_say_is_understood() {
        let said = json!([{ "type_meta": { "kind": "Pod" }, "object_meta": { "name": "a" }, "checks": [
            { "check": { "id": "good" }, "grade": 10, "skipped": false, "comments": null },
            { "check": { "id": "none" }, "grade": 0, "skipped": true, "comments": null },
            { "check": { "id": "bad" }, "grade": 5, "skipped": false, "comments": [{ "summary": "w" }] },
        ] }]);
        assert_eq!(kube_score(&said), Some(vec![finding("bad", "Pod/a")]));
        let mut said = json!({ "summary": { "parsing_errors": 0, "resource_count": 1 }, "results": { "failed_checks": [
            { "resource": "Pod.ns.a.b", "check_id": "CKV_1", "check_name": "w" },
        ] } });
        assert_eq!(checkov(&said), Some(vec![finding("CKV_1", "Pod/a.b")]));
        said["summary"]["parsing_errors"] = json!(1);
        assert_eq!(checkov(&said), None);
        let said = json!([{ "check": "schema", "object": "Pod/a", "what": "w" }]);
        assert_eq!(validate(&said), Some(vec![finding("schema", "Pod/a")]));
    }

    #[test]
    fn an_exception_is_for_one_check_and_the_objects_it_names() {
        let text = r#"[{"tool": "checkov", "check": "C", "object": "Pod/a*", "reason": "because it is so in a test"}]"#;
        let mut exceptions = exceptions(text).unwrap();
        let found = || vec![finding("C", "Pod/ab"), finding("C", "Pod/b"), finding("D", "Pod/a")];
        assert_eq!(left(Tool::KubeScore, found(), &mut exceptions).len(), 3);
        assert!(!exceptions[0].used);
        assert_eq!(left(Tool::Checkov, found(), &mut exceptions).len(), 2);
        assert!(exceptions[0].used);
    }

    #[test]
    fn an_exception_without_a_reason_is_none() {
        let text = |reason: &str, tool: &str| {
            format!(r#"[{{"tool": "{tool}", "check": "C", "object": "Pod/a", "reason": "{reason}"}}]"#)
        };
        assert!(exceptions(&text("so", "checkov")).is_err());
        assert!(exceptions(&text("because it is so in a test", "chekov")).is_err());
        assert!(exceptions(&text("because it is so in a test", "checkov")).is_ok());
    }
}
