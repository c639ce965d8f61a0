//! Who asked the API server for what, from its audit log: only what one user asked since the last look.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) verb: String,
    /// With the subresource, as in a role: `deployments/scale`. The path of what is no resource.
    pub(super) resource: String,
}

impl Call {
    /// The lease is written by whoever holds it, for as long as it does: that is what a lease is.
    pub(super) fn is_lease(&self) -> bool {
        self.resource == "leases"
    }

    pub(super) fn writes(&self) -> bool {
        let reads = matches!(self.verb.as_str(), "get" | "list" | "watch");
        !reads && !self.is_lease()
    }

    fn of(entry: &Value) -> Self {
        let text = |at: &str| entry.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let resource = match (text("/objectRef/resource"), text("/objectRef/subresource")) {
            ("", _) => text("/requestURI").to_owned(),
            (resource, "") => resource.to_owned(),
            (resource, below) => format!("{resource}/{below}"),
        };
        Self { verb: text("/verb").to_owned(), resource }
    }
}

#[derive(Debug)]
pub(super) struct Audit {
    path: PathBuf,
    user: String,
    from: u64,
}

impl Audit {
    pub(super) fn from_now(path: PathBuf, user: &str) -> Result<Self> {
        let from = path.metadata().with_context(|| format!("read {}", path.display()))?.len();
        Ok(Self { path, user: user.to_owned(), from })
    }

    /// What was answered since the last look. A line that is not whole yet is for the next one.
    pub(super) fn look(&mut self) -> Result<Vec<Call>> {
        let mut file = File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.from)).context("seek in the audit log")?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).context("read the audit log")?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.from += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut calls = Vec::new();
        for line in lines {
            let entry: Value = serde_json::from_slice(line).context("understand the audit log")?;
            if entry["user"]["username"] == *self.user && !is_end_of_watch(&entry) {
                calls.push(Call::of(&entry));
            }
        }
        Ok(calls)
    }
}

/// A watch is in the log twice: when it begins, and when it ends.
fn is_end_of_watch(entry: &Value) -> bool {
    entry["verb"] == "watch" && entry["stage"] == "ResponseComplete" && entry["responseStatus"]["code"] == 200
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn entry(user: &str, verb: &str, resource: &str, stage: &str) -> String {
        let entry = serde_json::json!({
            "user": {"username": user}, "verb": verb, "stage": stage,
            "objectRef": {"resource": resource}, "responseStatus": {"code": 200},
        });
        format!("{entry}\n")
    }

    #[test]
    fn each_look_has_what_is_new_and_a_watch_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(entry("us", "get", "secrets", "ResponseComplete").as_bytes()).unwrap();
        let mut audit = Audit::from_now(file.path().to_owned(), "us").unwrap();
        for stage in ["ResponseStarted", "ResponseComplete"] {
            file.write_all(entry("us", "watch", "pods", stage).as_bytes()).unwrap();
        }
        file.write_all(entry("them", "patch", "pods", "ResponseComplete").as_bytes()).unwrap();
        let last = entry("us", "patch", "services", "ResponseComplete");
        let (half, other) = last.split_at(20);
        file.write_all(half.as_bytes()).unwrap();
        let seen: Vec<String> = audit.look().unwrap().into_iter().map(|call| call.verb).collect();
        assert_eq!(seen, ["watch"]);
        file.write_all(other.as_bytes()).unwrap();
        let seen = audit.look().unwrap();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].writes());
        assert!(audit.look().unwrap().is_empty());
    }

    #[test]
    fn the_lease_is_no_write_and_everything_else_that_changes_is_one() {
        let call = |verb: &str, resource: &str| Call { verb: verb.into(), resource: resource.into() };
        assert!(!call("update", "leases").writes());
        for verb in ["create", "update", "patch", "delete", "deletecollection", "post"] {
            assert!(call(verb, "events").writes(), "{verb}");
        }
        for verb in ["get", "list", "watch"] {
            assert!(!call(verb, "secrets").writes(), "{verb}");
        }
    }
}
