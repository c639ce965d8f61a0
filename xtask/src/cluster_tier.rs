//! Tier `cluster`: a Kubernetes of its own with what presence stands on, the tests of `tests/cluster/` in its network, and the
//! linters of chart and manifests. Owns what these tests are told (the environment).
//!
//! With `PRESENCE_TEST_KUBECONFIG` set, somebody's own cluster is tested instead: nothing is started, built into images or
//! loaded, and what they have to say beside it is named.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::image::Profile;
use crate::libtest::Tally;
use crate::up::{self, Backing, Images, step};
use crate::workspace::Workspace;
use crate::{charts, process, tiers, tools};

const TARGET: &str = "cluster";
const NAMESPACE: &str = "presence-backing";
const KUBECONFIG: &str = "PRESENCE_TEST_KUBECONFIG";

/// With a cold cache, what they are built of is compiled first.
const TESTBED_WITHIN: Duration = Duration::from_mins(15);

/// Scenarios mostly wait for pods; more of them at a time would wait for each other's.
const THREADS: &str = "3";

/// What a cluster of somebody's own is tested with, and what for.
const THEIRS: [(&str, &str); 3] = [
    ("PRESENCE_TEST_IMAGE", "the image of presence, as its nodes can pull it"),
    ("PRESENCE_TEST_OPERATOR_IMAGE", "the image of presence-operator"),
    (
        "PRESENCE_TEST_BACKING",
        r#"{"postgres": URL of a superuser, "nats": URL, "redis": URL}, reached by pods and from here"#,
    ),
];

pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Tally {
    let mut tally = Tally::default();
    // First, since they are quick to say what is wrong. With a filter, only where it asks for them.
    if filter.is_empty() || filter.iter().any(|part| "lint".contains(part.as_str())) {
        tally.add(tiers::settle("the linters", charts::lint(workspace)));
    }
    if filter.is_empty() || filter.iter().any(|part| "testbed".contains(part.as_str())) {
        tally.add(tiers::settle("the test cluster's own tests", testbed(workspace)));
    }
    if filter != ["lint"] && filter != ["testbed"] {
        tally.add(tiers::settle(TARGET, tests(workspace, filter)));
    }
    tally
}

/// In Go, by its own harness.
fn testbed(workspace: &Workspace) -> Result<Tally> {
    let (mut tally, mut tests) = (Tally::default(), tools::kubernetes::tests(workspace)?);
    let status = process::stream(&mut tests, Some(TESTBED_WITHIN), |line| match line {
        passed if passed.starts_with("--- PASS: ") => tally.passed += 1,
        failed if failed.starts_with("--- FAIL: ") => tally.failed += 1,
        starts if starts.starts_with("=== ") => (),
        other => println!("{other}"),
    })?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1; // it was not even built
    }
    Ok(tally)
}

fn tests(workspace: &Workspace, filter: &[String]) -> Result<Tally> {
    if std::env::var_os(KUBECONFIG).is_some_and(|it| !it.is_empty()) {
        return theirs(workspace, filter);
    }
    let stack = Stack::up(workspace)?;
    let done = stack.tests(workspace, filter);
    if !done.as_ref().is_ok_and(|tally| tally.failed == 0) {
        stack.keep(&workspace.target().join("test-logs/cluster"));
    }
    stack.cluster.down().context("end the cluster")?;
    done
}

/// Ends with this process, however that ends.
struct Stack {
    cluster: Cluster,
    images: Images,
    backing: Backing,
}

impl Stack {
    fn up(workspace: &Workspace) -> Result<Self> {
        let binaries = step("the binaries", || up::binaries(workspace, Profile::Dev))?;
        let name = format!("test-{}", std::process::id());
        let (cluster, images) = up::stand(workspace, None, &binaries, || up::order(&name, 0, true))?;
        let backing = up::backing(workspace, &cluster, &images, NAMESPACE)?;
        Ok(Self { cluster, images, backing })
    }

    /// Builds while PostgreSQL, NATS and Redis start.
    fn tests(&self, workspace: &Workspace, filter: &[String]) -> Result<Tally> {
        build(workspace)?;
        step("PostgreSQL, NATS and Redis", || self.backing.wait(&self.cluster))?;
        let tests = cargo_test(workspace);
        let mut inside = self.cluster.command(tests.get_program())?;
        inside.args(tests.get_args());
        for (name, value) in tests.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(folder) = tests.get_current_dir() {
            inside.current_dir(folder);
        }
        self.cluster.tell(&mut inside);
        inside.env("PRESENCE_TEST_IMAGE", self.images.reference("presence")?);
        inside.env("PRESENCE_TEST_OPERATOR_IMAGE", self.images.reference("presence-operator")?);
        inside.env("PRESENCE_TEST_BACKING", self.backing.urls(&self.cluster)?.to_string());
        tell(workspace, &mut inside)?;
        tiers::count(inside, filter)
    }

    fn keep(&self, to: &Path) {
        match self.cluster.dump(to) {
            Ok(()) => println!("test: the cluster's logs and objects are in {}", to.display()),
            Err(error) => println!("test: not all of the cluster's logs could be kept: {error:#}"),
        }
    }
}

fn theirs(workspace: &Workspace, filter: &[String]) -> Result<Tally> {
    let missing: Vec<String> = THEIRS
        .iter()
        .filter(|(name, _)| std::env::var_os(name).is_none_or(|value| value.is_empty()))
        .map(|(name, what)| format!("{name} ({what})"))
        .collect();
    if !missing.is_empty() {
        bail!("{KUBECONFIG} is set, so that cluster is tested; say as well: {}", missing.join("; "));
    }
    println!(
        "test: the cluster of {KUBECONFIG}; what takes our own (the audit log, nodes' power) fails, and says so"
    );
    build(workspace)?;
    let mut tests = cargo_test(workspace);
    tests.env("PRESENCE_TEST_HELM", tools::helm::ensure()?);
    let kubectl = match tools::in_path("kubectl") {
        Some(found) => found,
        None => tools::kubernetes::kubectl(workspace)?,
    };
    tests.env("PRESENCE_TEST_KUBECTL", kubectl);
    tell(workspace, &mut tests)?;
    tiers::count(tests, filter)
}

/// Of the machine, whichever cluster it is.
fn tell(workspace: &Workspace, tests: &mut Command) -> Result<()> {
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", THREADS);
    }
    tests.env("PRESENCE_TEST_BIN", workspace.built("debug", "presence"));
    tests.env("PRESENCE_TEST_OPERATOR_BIN", workspace.built("debug", "presence-operator"));
    tests.env("PRESENCE_TEST_CACHE", tools::cache()?);
    tests.env("PRESENCE_TEST_CRDS", tools::crds::ensure()?);
    // Each scenario has a database of its own, which psql makes.
    tests.env("PRESENCE_TEST_PG_BIN", tools::apt::postgres_bin()?);
    // For what only xtask can do to a cluster: `cluster node kill`.
    tests.env("PRESENCE_TEST_XTASK", std::env::current_exe().context("find our own program")?);
    Ok(())
}

/// Outside of the cluster's network, where crates may still have to be fetched.
fn build(workspace: &Workspace) -> Result<()> {
    let bins = ["--bin", "presence", "--bin", "presence-operator"];
    process::run(workspace.cargo().args(["build", "--quiet", "--workspace"]).args(bins))?;
    process::run(cargo_test(workspace).arg("--no-run")).context("build the tests")
}

fn cargo_test(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["test", "--quiet", "--workspace", "--no-fail-fast", "--test", TARGET]);
    command
}
