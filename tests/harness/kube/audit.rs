//! The API server's audit log: who asked it for what.

use crate::environment;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
};

/// One call, once it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub user: String,
    pub verb: String,
    /// `apps`, or nothing for the core.
    pub group: String,
    /// With the subresource, as in a role: `deployments/scale`. Empty for what is no resource.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u64,
}

impl Call {
    pub fn writes(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// A place in the log, from which calls are read.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
}

impl Audit {
    /// From the beginning of the cluster.
    pub fn all() -> Result<Self> {
        Ok(Self { path: environment::audit_log()?, from: 0 })
    }

    /// From now on.
    pub fn from_now() -> Result<Self> {
        let path = environment::audit_log()?;
        let from = path.metadata().with_context(|| format!("read {}", path.display()))?.len();
        Ok(Self { path, from })
    }

    /// What was asked since then by whom this says.
    pub fn calls(&self, by: impl Fn(&str) -> bool) -> Result<Vec<Call>> {
        let mut file =
            std::fs::File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.from)).context("seek in the audit log")?;
        let mut calls = Vec::new();
        for line in BufReader::new(file).lines() {
            // The last line may be half written.
            let Ok(entry) = serde_json::from_str::<Value>(&line.context("read the audit log")?) else {
                continue;
            };
            let call = call(&entry);
            if by(&call.user) {
                calls.push(call);
            }
        }
        Ok(calls)
    }
}

fn call(entry: &Value) -> Call {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut resource = text("/objectRef/resource");
    let below = text("/objectRef/subresource");
    if !below.is_empty() {
        resource = format!("{resource}/{below}");
    }
    Call {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: entry.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
    }
}
