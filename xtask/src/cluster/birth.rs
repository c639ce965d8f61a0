//! How a cluster comes to be: its files, its supervisor, and the wait until it serves. Owns the rule that one `xtask` at a
//! time makes or sweeps clusters. What is in the files is said in `settings.rs` and `plan.rs`.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::layout::{State, clusters, node_name};
use super::plan::{Publication, Wish};
use super::{Cluster, settings};
use crate::process;
use crate::tools::kubernetes::Kubernetes;

/// What a new cluster is to be.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) nodes: u8,
    pub(crate) publish: Vec<Publication>,
    /// It ends with this process, however that ends.
    pub(crate) tied: bool,
}

/// For each step of the start. Seconds on a quiet machine; tests build beside it.
const STEP_WITHIN: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);

/// Held while clusters are made or swept; ends with the file.
pub(super) fn lock_clusters() -> Result<File> {
    let folder = clusters()?;
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// Whether its supervisor lives: it holds a lock for as long.
pub(super) fn is_alive(state: &State) -> bool {
    File::open(state.lock()).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Removes what clusters left whose supervisor was killed: cgroups and folders; the kernel took their processes.
pub(super) fn sweep(machines: &Path) -> Result<()> {
    for entry in fs::read_dir(clusters()?).context("list the clusters")?.flatten() {
        let Ok(state) = State::of(&entry.file_name().to_string_lossy()) else { continue };
        if !is_alive(&state) {
            println!("cluster: clearing up after `{}`, which was killed", state.name);
            process::run(Command::new(machines).arg("sweep").arg(&state.folder))?;
        }
    }
    Ok(())
}

/// What is left of a cluster that does not live is removed; that there is nothing is fine.
pub(super) fn clear(name: &str) -> Result<()> {
    let (_lock, state) = (lock_clusters()?, State::of(name)?);
    if !state.folder.exists() {
        println!("cluster: there is no `{name}`");
        return Ok(());
    }
    let text = fs::read_to_string(state.programs()).context("read the cluster's programs.json")?;
    let programs: Value = serde_json::from_str(&text).context("understand the cluster's programs.json")?;
    sweep(Path::new(programs["machines"].as_str().context("the cluster does not say what made it")?))
}

pub(super) fn up(order: &Order, tools: &Kubernetes, helm: &Path) -> Result<Cluster> {
    let started = Instant::now();
    let lock = lock_clusters()?;
    let state = State::of(&order.name)?;
    sweep(&tools.machines)?;
    if is_alive(&state) {
        bail!("cluster `{}` is up already; `cargo xtask cluster down --name {0}` ends it", state.name);
    }
    let programs =
        json!({"kubectl": tools.kubectl, "helm": helm, "ctr": tools.ctr, "machines": tools.machines});
    write_files(order, &state, tools, &programs)?;
    let mut supervisor = supervise(&tools.machines, &state, order.tied)?;
    let begun = until("its machines", &state, Some(&mut supervisor), || state.pids().exists());
    drop(lock);
    let cluster = Cluster { state, programs, owned: order.tied.then_some(supervisor) };
    begun
        .and_then(|()| wait_until_it_serves(&cluster, order.nodes))
        .map_err(|error| fail(&cluster, error))?;
    println!("cluster: `{}` serves ({:.1} s in all)", cluster.state.name, started.elapsed().as_secs_f64());
    Ok(cluster)
}

/// A cluster that does not come up is taken down; what it said is kept.
fn fail(cluster: &Cluster, error: anyhow::Error) -> anyhow::Error {
    let kept = clusters().map(|it| it.with_file_name("failed-clusters").join(&cluster.state.name));
    let kept = kept.and_then(|folder| {
        drop(fs::remove_dir_all(&folder)); // of an earlier failure; if it cannot go, the copy says so
        super::dump::copy_tree(&cluster.state.logs(), &folder).map(|()| folder)
    });
    drop(cluster.stop());
    match kept {
        Ok(folder) => {
            error.context(format!("the cluster did not come up; its logs are in {}", folder.display()))
        }
        Err(lost) => error.context(format!("the cluster did not come up, and its logs are lost: {lost:#}")),
    }
}

fn write_files(order: &Order, state: &State, tools: &Kubernetes, programs: &Value) -> Result<()> {
    // Keys are in it, so it is nobody else's.
    let made = DirBuilder::new().mode(0o700).create(&state.folder);
    made.with_context(|| format!("make {}", state.folder.display()))?;
    let nodes: Vec<String> = (1..=order.nodes).map(node_name).collect();
    let mut keys = Command::new(&tools.machines);
    keys.arg("pki").arg(state.pki("")).stdin(Stdio::piped());
    let mut keys = keys.spawn().context("start the maker of keys")?;
    let identities = settings::identities(&nodes);
    keys.stdin.take().context("stdin is piped")?.write_all(identities.to_string().as_bytes())?;
    write(&state.etc("audit-policy.yaml"), settings::AUDIT_POLICY)?;
    write(&state.etc("coredns.json"), &settings::coredns().to_string())?;
    for identity in identities.as_array().into_iter().flatten() {
        let who = identity["name"].as_str().unwrap_or_default();
        write(&state.kubeconfig_of(who), &settings::kubeconfig(state, who).to_string())?;
    }
    for (sysctl, value) in settings::PRETENDED {
        write(&state.etc("sysctl").join(sysctl), value)?;
    }
    for (index, node) in (1..=order.nodes).zip(&nodes) {
        let etc = state.etc(node);
        write(&etc.join("containerd.toml"), &settings::containerd(&etc.join("cni")))?;
        write(&etc.join("cni/10-bridge.conflist"), &settings::cni(index).to_string())?;
        write(&etc.join("kubelet.json"), &settings::kubelet(state, node).to_string())?;
    }
    write(&state.programs(), &programs.to_string())?;
    let wish = Wish { state, tools, nodes: order.nodes, publish: &order.publish };
    write(&state.plan(), &format!("{:#}", wish.plan()))?;
    let status = keys.wait().context("wait for the maker of keys")?;
    if !status.success() {
        bail!("making the cluster's keys failed: {status}");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn supervise(machines: &Path, state: &State, tied: bool) -> Result<Child> {
    fs::create_dir_all(state.logs()).context("make the folder of logs")?;
    let log = File::create(state.logs().join("supervisor.log")).context("make the supervisor's log")?;
    let mut command = Command::new(machines);
    command.arg("supervise").arg(&state.folder).current_dir("/");
    command.stderr(log.try_clone().context("share the log")?).stdout(log);
    if tied {
        // The pipe ends with us, whatever ends us, and the supervisor with the pipe.
        command.arg("--tied").stdin(Stdio::piped());
    } else {
        command.stdin(Stdio::null());
    }
    command.spawn().context("start the cluster's supervisor")
}

fn wait_until_it_serves(cluster: &Cluster, nodes: u8) -> Result<()> {
    let state = &cluster.state;
    let asks = |args: &[&str]| process::probe(cluster.kubectl()?.args(args)).context("no answer");
    until("the API server", state, None, || asks(&["get", "--raw=/readyz"]).is_ok())?;
    // Its own first objects may still be on their way, so more than one attempt.
    let manifest = state.etc("coredns.json").display().to_string();
    let apply = ["apply", "--server-side", "--filename", &manifest];
    until("DNS is asked for", state, None, || asks(&apply).is_ok())?;
    let ready = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    until("its nodes", state, None, || {
        asks(&["get", "nodes", "--output", ready])
            .is_ok_and(|said| said.lines().filter(|line| *line == "True").count() == usize::from(nodes))
    })?;
    let available = "jsonpath={.status.availableReplicas}";
    until("DNS", state, None, || {
        asks(&["--namespace=kube-system", "get", "deployment", "coredns", "--output", available])
            .is_ok_and(|said| said == "2")
    })
}

/// Waits for a condition and says how long it took. The supervisor's end is an end to the wait.
fn until(
    what: &str,
    state: &State,
    mut supervisor: Option<&mut Child>,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    let started = Instant::now();
    while !holds() {
        process::check_interrupted()?;
        let ended = match &mut supervisor {
            // It may not have its lock yet.
            Some(child) => child.try_wait().context("wait for the supervisor")?.is_some(),
            None => !is_alive(state),
        };
        if ended {
            bail!("waiting for {what}, the supervisor ended: {}", last_words(state));
        }
        if started.elapsed() > STEP_WITHIN {
            bail!("{what}: not there after {} s", STEP_WITHIN.as_secs());
        }
        std::thread::sleep(POLL);
    }
    println!("cluster: {what} ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(())
}

fn last_words(state: &State) -> String {
    let text = fs::read_to_string(state.logs().join("supervisor.log"));
    text.ok()
        .and_then(|it| it.lines().last().map(str::to_owned))
        .unwrap_or_else(|| "it said nothing".to_owned())
}
