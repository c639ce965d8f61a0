//! `cargo xtask cluster`: a real Kubernetes on this machine, in namespaces of its own (docs/adr/0012-test-cluster.md).
//! Owns a cluster that runs, and what can be done with it; how it comes to be is `cluster/birth.rs`, the command line
//! `cluster/verbs.rs`.

mod birth;
mod dump;
mod layout;
mod plan;
mod request;
mod settings;
mod verbs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use serde_json::Value;

pub(crate) use self::birth::Order;
use self::layout::{CONTROL, State};
pub(crate) use self::plan::Publication;
pub(crate) use self::verbs::{Verb, down, run};
use crate::tools::kubernetes::Kubernetes;
use crate::workspace::Workspace;
use crate::{process, tools};

/// A cluster that runs. One that is tied to this process ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    state: State,
    /// The paths of kubectl, helm and ctr, as the cluster was made with them.
    programs: Value,
    owned: Option<Child>,
}

const DOWN_WITHIN: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(50);

impl Cluster {
    /// Makes sure of all that it takes, and returns when nodes and DNS serve.
    pub(crate) fn up(workspace: &Workspace, order: &Order) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("the test cluster is made of Linux namespaces, and this is not Linux");
        }
        if !rustix::process::geteuid().is_root() {
            bail!("the test cluster needs root: it makes namespaces, cgroups and mounts");
        }
        if order.nodes == 0 || order.nodes > layout::MOST_NODES {
            bail!("a cluster has 1 to {} nodes", layout::MOST_NODES);
        }
        State::of(&order.name)?;
        let (kubernetes, helm) = (Kubernetes::ensure(workspace)?, tools::helm::ensure()?);
        birth::up(order, &kubernetes, &helm)
    }

    /// One that was made by another command, and runs.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let state = State::of(name)?;
        if !birth::is_alive(&state) {
            bail!("there is no cluster `{name}`; `cargo xtask cluster up --name {name}` makes it");
        }
        let text = std::fs::read_to_string(state.programs()).context("read the cluster's programs.json")?;
        let programs = serde_json::from_str(&text).context("understand the cluster's programs.json")?;
        Ok(Self { state, programs, owned: None })
    }

    pub(crate) fn name(&self) -> &str {
        &self.state.name
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.kubeconfig()
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.state.audit_log()
    }

    fn program(&self, name: &str) -> PathBuf {
        PathBuf::from(self.programs[name].as_str().unwrap_or(name))
    }

    /// A program in the cluster's network, with the host's files. It finds kubectl and helm, and they find the cluster.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let pid = self.pid(CONTROL)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{pid}/ns/net")).arg("--").arg(program);
        let ours = ["kubectl", "helm"].map(|name| self.program(name));
        let ours = ours.iter().filter_map(|it| it.parent()).map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(ours.chain(std::env::split_paths(&path))).context("join PATH")?;
        command.env("PATH", path).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    pub(crate) fn kubectl(&self) -> Result<Command> {
        self.command(self.program("kubectl"))
    }

    pub(crate) fn helm(&self) -> Result<Command> {
        self.command(self.program("helm"))
    }

    /// What the tests of tier `cluster` are told.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("PRESENCE_TEST_CLUSTER", self.name());
        command.env("PRESENCE_TEST_KUBECONFIG", self.kubeconfig());
        command.env("PRESENCE_TEST_AUDIT_LOG", self.audit_log());
        command.env("PRESENCE_TEST_KUBECTL", self.program("kubectl"));
        command.env("PRESENCE_TEST_HELM", self.program("helm"));
        // For what no API server offers: `cluster node kill` and its like.
        if let Ok(xtask) = std::env::current_exe() {
            command.env("PRESENCE_TEST_XTASK", xtask);
        }
    }

    /// Gives every node that runs the images of an archive, OCI's or Docker's.
    pub(crate) fn load_image(&self, archive: &Path) -> Result<()> {
        if !archive.is_file() {
            bail!("there is no archive {}", archive.display());
        }
        for (machine, pid) in self.pids()? {
            if machine == CONTROL {
                continue;
            }
            let mut ctr = Command::new(self.program("ctr"));
            ctr.arg(format!("--address=/proc/{pid}/root/run/containerd/containerd.sock"));
            ctr.args(["--namespace=k8s.io", "images", "import"]).arg(archive);
            let said = process::output(&mut ctr).with_context(|| format!("load it into {machine}"))?;
            print!("{machine}: {said}");
        }
        Ok(())
    }

    /// A power loss: all of the node's processes end at once. Its disk stays.
    pub(crate) fn kill_node(&self, node: &str) -> Result<()> {
        request::power(&self.state, node, false)
    }

    /// Returns when the machine is there again; the node is Ready a little later.
    pub(crate) fn start_node(&self, node: &str) -> Result<()> {
        request::power(&self.state, node, true)
    }

    /// From now on, a port of the host's loopback reaches a `NodePort`.
    pub(crate) fn publish(&self, publication: &Publication) -> Result<()> {
        request::publish(&self.state, publication)
    }

    /// Logs, objects and events. What could not be had is named by the error; the rest is there.
    pub(crate) fn dump(&self, to: &Path) -> Result<()> {
        dump::dump(self, to)
    }

    /// Ends it, and returns when nothing of it is left.
    pub(crate) fn down(self) -> Result<()> {
        self.stop()
    }

    fn stop(&self) -> Result<()> {
        let asked = request::down(&self.state);
        let started = Instant::now();
        while asked.is_ok() && self.state.folder.exists() && started.elapsed() < DOWN_WITHIN {
            std::thread::sleep(POLL);
        }
        if self.state.folder.exists() {
            bail!(
                "cluster `{}` did not end in order: {}",
                self.state.name,
                match asked {
                    Err(error) => format!("{error:#}"),
                    Ok(()) => "it still runs, or left files".to_owned(),
                }
            );
        }
        Ok(())
    }

    fn pids(&self) -> Result<Vec<(String, i32)>> {
        let text = std::fs::read_to_string(self.state.pids()).context("read which machines run")?;
        let pids: Value = serde_json::from_str(&text).context("understand pids.json")?;
        let pids = pids.as_object().into_iter().flatten();
        Ok(pids.filter_map(|(name, pid)| Some((name.clone(), i32::try_from(pid.as_i64()?).ok()?))).collect())
    }

    fn pid(&self, machine: &str) -> Result<i32> {
        let found = self.pids()?.into_iter().find(|(name, _)| name == machine);
        found.map(|(_, pid)| pid).with_context(|| format!("machine {machine} does not run"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(supervisor) = &mut self.owned else { return };
        drop(supervisor.stdin.take()); // which is what it waits for
        let started = Instant::now();
        while supervisor.try_wait().is_ok_and(|ended| ended.is_none()) {
            if started.elapsed() > DOWN_WITHIN {
                eprintln!("xtask: cluster `{}` did not end when asked, killing it", self.state.name);
                process::signal_one(Pid::from_child(supervisor), Signal::KILL);
                drop(supervisor.wait());
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}
