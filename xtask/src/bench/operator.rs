//! `cargo xtask bench operator`: what the operator takes of a cluster and of its API server, with one resource and with
//! many, at rest. Owns the order of the steps; a cluster of its own is made for them, and nothing of it stays.

mod audit;
mod process;
mod resources;
mod rest;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser as _;
use serde_json::{Value, json};

use self::audit::Audit;
use self::process::Operator;
use self::resources::Resources;
use self::rest::{Rest, settled};
use super::report::Report;
use crate::cluster::Cluster;
use crate::image::{self, PRODUCTS, Profile};
use crate::process::output;
use crate::up::{self, Backing, Images, objects, step};
use crate::workspace::Workspace;

const CHART: &str = "charts/presence-operator";
pub(super) const RELEASE: &str = "presence-operator";
/// The operator's own; resources are in another one, as a platform team has it.
const NAMESPACE: &str = "presence-operator";

#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask bench operator --", about = "What the operator takes at rest")]
struct Wish {
    /// How the operator is built. Presence, which is not measured, is a debug build
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
    /// How many `PresenceClusters` there are in the second measurement; all but one have no pods
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(2..=1000))]
    resources: u16,
    /// Seconds of rest that are measured. What the operator looks at again by itself, it does within 300
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(60..=3600))]
    seconds: u64,
}

const COLUMNS: [&str; 14] = [
    "resources",
    "pods",
    "settled after s",
    "RSS MiB",
    "PSS MiB",
    "anonymous MiB",
    "peak RSS MiB",
    "requests/min",
    "get",
    "list",
    "watch",
    "lease",
    "writes",
    "CPU s/min",
];

pub(super) fn run(workspace: &Workspace, rest: &[String]) -> Result<ExitCode> {
    let wish = Wish::parse_from(std::iter::once("operator").chain(rest.iter().map(String::as_str)));
    let binaries = step("the binaries", || binaries(workspace, wish.profile))?;
    let report = Report::new("operator", &COLUMNS);
    let name = format!("bench-{}", std::process::id());
    let (cluster, images) = up::stand(workspace, None, &binaries, || up::order(&name, 0, true))?;
    let measured = Bench { workspace, cluster: &cluster, images: &images, wish: &wish, report }.run();
    if measured.is_err() {
        let to = workspace.target().join("bench/operator-cluster");
        match cluster.dump(&to) {
            Ok(()) => println!("bench: the cluster's logs and objects are in {}", to.display()),
            Err(error) => println!("bench: not all of the cluster's logs could be kept: {error:#}"),
        }
    }
    cluster.down().context("end the cluster")?;
    measured.map(|()| ExitCode::SUCCESS)
}

/// In the order of `PRODUCTS`.
fn binaries(workspace: &Workspace, operator: Profile) -> Result<Vec<PathBuf>> {
    let profile = |name| if name == RELEASE { operator } else { Profile::Dev };
    PRODUCTS.iter().map(|product| image::binary(workspace, product.name, profile(product.name))).collect()
}

struct Bench<'a> {
    workspace: &'a Workspace,
    cluster: &'a Cluster,
    images: &'a Images,
    wish: &'a Wish,
    report: Report,
}

impl Bench<'_> {
    fn run(mut self) -> Result<()> {
        let backing = step("PostgreSQL, NATS and Redis", || self.backing())?;
        let installed = timed(|| step("the operator, by Helm", || self.install()))?;
        let operator = Operator::find(self.cluster, NAMESPACE)?;
        let mut audit = Audit::from_now(self.cluster.audit_log(), &operator.user)?;
        let resources = Resources::new(self.workspace, self.cluster, self.images, &backing)?;

        settled(&mut audit)?;
        let nobody = operator.memory()?;
        let mut wrote = self.row(json!(0), json!(0), Value::Null, &Rest::unmeasured(nobody));

        let ready = timed(|| {
            resources.first()?;
            resources.wait(1)
        })?;
        wrote += self.rest(&operator, &mut audit, (1, ready))?;

        let others = usize::from(self.wish.resources) - 1;
        let all = timed(|| {
            resources.others(others)?;
            resources.wait(others + 1)
        })?;
        wrote += self.rest(&operator, &mut audit, (others + 1, all))?;

        let profile = if self.wish.profile == Profile::Dev { "debug" } else { "release" };
        self.report.result("operator's build", profile);
        self.report.result("helm install to the operator Ready, s", installed.as_secs_f64());
        self.report.result("smallest example applied to Ready=True, s", ready.as_secs_f64());
        self.report.result("rest measured, s", self.wish.seconds);
        self.report.finish(self.workspace)?;
        if wrote > 0 {
            bail!("the operator wrote {wrote} times at rest, where nothing was to be written");
        }
        Ok(())
    }

    fn backing(&self) -> Result<Backing> {
        let backing = up::backing(self.workspace, self.cluster, self.images, resources::NAMESPACE)?;
        backing.wait(self.cluster).map(|()| backing)
    }

    fn install(&self) -> Result<()> {
        objects::apply(self.cluster, None, &objects::namespace(NAMESPACE).to_string())?;
        let image = self.images.reference(RELEASE)?;
        let (repository, tag) = image.rsplit_once(':').context("a reference has a tag")?;
        let mut helm = self.cluster.helm()?;
        helm.current_dir(&self.workspace.root).args(["install", RELEASE, CHART, "--namespace", NAMESPACE]);
        helm.args(["--set", &format!("image.repository={repository},image.tag={tag},clusterWide=true")]);
        output(helm.args(["--wait", "--timeout=4m"])).map(drop)
    }

    /// A row: how it is once nothing is written any more. How many writes came all the same.
    fn rest(
        &mut self,
        operator: &Operator,
        audit: &mut Audit,
        (resources, after): (usize, Duration),
    ) -> Result<usize> {
        settled(audit)?;
        let rest = Rest::measure(operator, audit, Duration::from_secs(self.wish.seconds))?;
        for (what, times) in &rest.calls {
            println!("bench:   {what}: {times}");
        }
        self.report.result(&format!("requests at rest, {resources} resources"), json!(rest.calls));
        self.report.result(&format!("load of the machine, {resources} resources"), super::report::load());
        Ok(self.row(json!(resources), json!(resources::PODS), json!(after.as_secs_f64()), &rest))
    }

    fn row(&mut self, resources: Value, pods: Value, after: Value, rest: &Rest) -> usize {
        let memory = &rest.memory;
        let mut cells = vec![resources, pods, after];
        cells.extend([memory.rss, memory.pss, memory.anonymous, memory.peak].map(|kib| json!(mib(kib))));
        cells.extend(rest.per_minute());
        self.report.row(cells);
        rest.writes()
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let started = Instant::now();
    work().map(|_| started.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "the memory of one process, in KiB, is far below 2^52")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Result<Wish, clap::Error> {
        Wish::try_parse_from(format!("operator {line}").trim_end().split(' '))
    }

    #[test]
    fn a_rest_that_is_too_short_to_mean_something_is_refused() {
        assert_eq!(wish("").unwrap().resources, 200);
        assert!(wish("--seconds 60 --profile release").is_ok());
        for wrong in ["--seconds 59", "--resources 1", "--resources 1001", "--profile fast"] {
            assert!(wish(wrong).is_err(), "{wrong}");
        }
    }
}
