//! How a cluster comes to be: its files, its supervisor, and the wait until it serves. Owns the rule that one `xtask` at a
//! time makes or sweeps clusters. What is in the files is said in `settings.rs` and `plan.rs`.

use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::layout::{State, clusters, node_name};
use super::plan::{Publication, Wish};
use super::{Cluster, settings};
use crate::process;
use crate::tools::apt::CNI_PLUGINS;
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

/// Whether its supervisor lives: it holds a lock for as long. Asked for a shared one, so that who asks is not mistaken
/// for it.
pub(super) fn is_alive(state: &State) -> bool {
    let asked = File::open(state.lock()).map(|file| file.try_lock_shared());
    asked.is_ok_and(|lock| matches!(lock, Err(fs::TryLockError::WouldBlock)))
}

/// Removes what clusters left whose supervisor was killed: cgroups and folders; the kernel took their processes.
pub(super) fn sweep(machines: &Path) -> Result<()> {
    for entry in fs::read_dir(clusters()?).context("list the clusters")?.flatten() {
        let Ok(state) = State::of(&entry.file_name().to_string_lossy()) else { continue };
        if !is_alive(&state) {
            println!("cluster: clearing up after `{}`, which was killed", state.name);
            let swept = process::run(Command::new(machines).arg("sweep").arg(&state.folder));
            // Its supervisor may have been about to finish.
            swept.or_else(|error| if state.folder.exists() { Err(error) } else { Ok(()) })?;
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
    let mut supervisor = Supervisor::start(&tools.machines, &state, order.tied)?;
    let begun = supervisor.until("its machines", || Ok(state.pids().exists()));
    drop(lock);
    let mut cluster = Cluster { state, programs, owned: None };
    begun
        .and_then(|()| wait_until_it_serves(&cluster, &mut supervisor, usize::from(order.nodes)))
        .map_err(|error| fail(&cluster, error))?;
    cluster.owned = order.tied.then_some(supervisor.child);
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
    // First: it says with what the rest can be removed.
    write(&state.programs(), &programs.to_string())?;
    let nodes: Vec<String> = (1..=order.nodes).map(node_name).collect();
    let identities = settings::identities(&nodes);
    make_keys(&tools.machines, state, &identities)?;
    write(&state.etc("audit-policy.yaml"), settings::AUDIT_POLICY)?;
    write(&state.etc("first.json"), &settings::first_objects().to_string())?;
    for identity in identities.as_array().into_iter().flatten() {
        let who = identity["name"].as_str().unwrap_or_default();
        write(&state.kubeconfig_of(who), &settings::kubeconfig(state, who).to_string())?;
    }
    for (sysctl, value) in settings::PRETENDED {
        write(&state.etc("sysctl").join(sysctl), value)?;
    }
    let plugins = gather_plugins(state, tools)?;
    for (index, node) in (1..=order.nodes).zip(&nodes) {
        let etc = state.etc(node);
        write(&etc.join("containerd.toml"), &settings::containerd(&etc.join("cni"), &plugins))?;
        write(&etc.join("cni/10-bridge.conflist"), &settings::cni(index).to_string())?;
        write(&etc.join("kubelet.json"), &settings::kubelet(state, node).to_string())?;
    }
    let wish = Wish { state, tools, nodes: order.nodes, publish: &order.publish };
    write(&state.plan(), &format!("{:#}", wish.plan()))
}

/// containerd looks for all plugins in one folder; Debian has most of them in its own.
fn gather_plugins(state: &State, tools: &Kubernetes) -> Result<PathBuf> {
    let folder = state.etc("plugins");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let debian = settings::PLUGINS.map(|name| (Path::new(CNI_PLUGINS).join(name), name));
    for (program, name) in debian.into_iter().chain([(tools.policies.clone(), "policies")]) {
        let link = folder.join(name);
        symlink(&program, &link)
            .with_context(|| format!("link {} to {}", link.display(), program.display()))?;
    }
    Ok(folder)
}

fn make_keys(machines: &Path, state: &State, identities: &Value) -> Result<()> {
    let mut command = Command::new(machines);
    let mut maker =
        command.arg("pki").arg(state.pki("")).stdin(Stdio::piped()).spawn().context("make keys")?;
    let mut stdin = maker.stdin.take().context("stdin is piped")?;
    stdin.write_all(identities.to_string().as_bytes()).context("say which keys")?;
    drop(stdin);
    let status = maker.wait().context("wait for the maker of keys")?;
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

/// The process above a cluster, as long as the cluster is being made.
struct Supervisor {
    child: Child,
    /// Held open: when it fails it removes the cluster's folder, and its log with it.
    log: File,
}

impl Supervisor {
    fn start(machines: &Path, state: &State, tied: bool) -> Result<Self> {
        fs::create_dir_all(state.logs()).context("make the folder of logs")?;
        let path = state.logs().join("supervisor.log");
        let log = File::options().read(true).append(true).create(true).open(path);
        let log = log.context("make the supervisor's log")?;
        let share = || log.try_clone().context("share the log");
        let mut command = Command::new(machines);
        command.arg("supervise").arg(&state.folder).current_dir("/");
        command.stdin(Stdio::null()).stderr(share()?).stdout(share()?);
        if tied {
            // The pipe ends with us, whatever ends us, and the supervisor with the pipe.
            command.arg("--tied").stdin(Stdio::piped());
        }
        let child = command.spawn().context("start the cluster's supervisor")?;
        Ok(Self { child, log })
    }

    /// Waits for a condition and says how long it took. Its own end is an end to the wait.
    fn until(&mut self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while !holds().with_context(|| format!("wait for {what}; {}", self.last_words()))? {
            process::check_interrupted()?;
            if self.child.try_wait().context("wait for the supervisor")?.is_some() {
                bail!("waiting for {what}, the supervisor ended: {}", self.last_words());
            }
            if started.elapsed() > STEP_WITHIN {
                bail!("{what}: not there after {} s", STEP_WITHIN.as_secs());
            }
            std::thread::sleep(POLL);
        }
        println!("cluster: {what} ({:.1} s)", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn last_words(&self) -> String {
        let mut text = String::new();
        let read = (&self.log).rewind().and_then(|()| (&self.log).read_to_string(&mut text));
        let last = read.ok().and_then(|_| text.lines().last());
        last.unwrap_or("it said nothing").to_owned()
    }
}

fn wait_until_it_serves(cluster: &Cluster, supervisor: &mut Supervisor, nodes: usize) -> Result<()> {
    // One try: what is asked for may be there, or not yet, or never as a machine could not start.
    let asks = |args: &[&str], enough: &dyn Fn(&str) -> bool| {
        if cluster.pids()?.len() <= nodes {
            bail!("a machine ended by itself");
        }
        Ok(process::probe(cluster.kubectl()?.args(args)).is_some_and(|said| enough(&said)))
    };
    supervisor.until("the API server", || asks(&["get", "--raw=/readyz"], &|_| true))?;
    let manifest = cluster.state.etc("first.json").display().to_string();
    let apply = ["apply", "--server-side", "--filename", &manifest];
    supervisor.until("DNS is asked for", || asks(&apply, &|_| true))?;
    let ready = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    let all = |said: &str| said.lines().filter(|line| *line == "True").count() == nodes;
    supervisor.until("its nodes", || asks(&["get", "nodes", "--output", ready], &all))?;
    let available = [
        "--namespace=kube-system",
        "get",
        "deployment",
        "coredns",
        "--output=jsonpath={.status.availableReplicas}",
    ];
    supervisor.until("DNS", || asks(&available, &|said| said == "2"))
}
