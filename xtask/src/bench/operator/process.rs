//! The operator's process, seen from the machine: found by its pod, weighed by the kernel's own figures.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::RELEASE;
use crate::cluster::Cluster;
use crate::process::{output, probe};

#[derive(Debug)]
pub(super) struct Operator {
    /// As the API server knows it.
    pub(super) user: String,
    pid: u32,
}

/// In KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) rss: u64,
    /// Pages that others map, too, count by their share.
    pub(super) pss: u64,
    /// Without those of files: what it allocated.
    pub(super) anonymous: u64,
    pub(super) peak: u64,
}

impl Operator {
    pub(super) fn find(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let mut get = cluster.kubectl()?;
        get.args(["--namespace", namespace, "get", "pods", "--output=json"]);
        get.arg(format!(
            "--selector=app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
        ));
        let said: Value = serde_json::from_str(&output(&mut get)?).context("understand kubectl")?;
        let [pod] = said["items"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            bail!("one pod of the operator was to be there");
        };
        let text = |at: &str| {
            pod.pointer(at).and_then(Value::as_str).with_context(|| format!("the pod has no {at}"))
        };
        let account = text("/spec/serviceAccountName")?;
        let pid = process_of(text("/metadata/uid")?)?;
        Ok(Self { user: format!("system:serviceaccount:{namespace}:{account}"), pid })
    }

    /// Fails where it has ended: its figures would be those of another one.
    pub(super) fn memory(&self) -> Result<Memory> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.pid);
            fs::read_to_string(&path).with_context(|| format!("read {path}: has the operator ended?"))
        };
        let (rollup, status) = (read("smaps_rollup")?, read("status")?);
        let field = |text: &str, name: &str| kib(text, name).with_context(|| format!("find {name}"));
        Ok(Memory {
            rss: field(&rollup, "Rss:")?,
            pss: field(&rollup, "Pss:")?,
            anonymous: field(&rollup, "Anonymous:")?,
            peak: field(&status, "VmHWM:")?,
        })
    }

    /// Seconds of CPU since its start.
    pub(super) fn cpu(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.pid);
        let text =
            fs::read_to_string(&path).with_context(|| format!("read {path}: has the operator ended?"))?;
        let ticks = ticks(&text).context("understand the times of a process")?;
        let per_second = probe(Command::new("getconf").arg("CLK_TCK"));
        Ok(ticks / per_second.and_then(|said| said.trim().parse().ok()).unwrap_or(100.0))
    }
}

/// A pod's uid is in the name of its cgroup. Beside the operator there is what holds the pod's namespaces.
fn process_of(uid: &str) -> Result<u32> {
    let entries = fs::read_dir("/proc").context("list processes")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        // The kernel keeps 15 letters of a name.
        read("comm").trim_end() == &RELEASE[..15] && read("cgroup").contains(uid)
    };
    let found: Vec<u32> = pids.filter(ours).collect();
    match found[..] {
        [pid] => Ok(pid),
        _ => bail!("{} processes are the operator of pod {uid}, where one was to be", found.len()),
    }
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Of user and system. The name before them may have any letters in it.
fn ticks(stat: &str) -> Option<f64> {
    const USER: usize = 11;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(ticks(USER)? + ticks(USER + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let rollup = "7f00-7fff ---p 00000000 00:00 0 [rollup]\nRss:            2048 kB\nPss_Anon: 5 kB\nPss:   1024 kB\n";
        assert_eq!(kib(rollup, "Rss:"), Some(2048));
        assert_eq!(kib(rollup, "Pss:"), Some(1024));
        assert_eq!(kib(rollup, "Swap:"), None);
        assert_eq!(ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0"), Some(300.0));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn a_process_is_weighed() {
        let us = Operator { user: String::new(), pid: std::process::id() };
        let memory = us.memory().unwrap();
        assert!(memory.rss > 0 && memory.anonymous <= memory.rss && memory.pss <= memory.rss, "{memory:?}");
        assert!(us.cpu().unwrap() >= 0.0);
        assert!(process_of("no-such-pod").unwrap_err().to_string().starts_with("0 processes"));
    }
}
