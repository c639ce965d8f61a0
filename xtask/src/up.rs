//! `cargo xtask up` and `down`: presence on a Kubernetes of this machine, from nothing to a classroom that can be joined.
//!
//! This file owns the order of the steps. Tier `cluster` stands on the same ones (`cluster_tier.rs`).

mod backing;
mod images;
mod issuer;
pub(crate) mod objects;
mod programs;
mod school;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

pub(crate) use self::backing::{Backing, backing};
pub(crate) use self::images::{Images, binaries};
use self::issuer::Issuer;
use crate::cluster::{self, Cluster, Order, Publication};
use crate::image::Profile;
use crate::tools;
use crate::workspace::Workspace;

/// Everything is in it: operator, presence and what it stands on.
const NAMESPACE: &str = "presence";
const NODES: u8 = 2;
/// Of the Service that agents connect to. In a cluster of its own it clashes with nothing.
const NODE_PORT: u16 = 30080;

#[derive(Debug, clap::Args)]
pub(crate) struct Wish {
    /// Which cluster; it is made where it is not up
    #[arg(long, default_value = "presence", value_name = "CLUSTER")]
    name: String,
    /// The port of 127.0.0.1 that clients connect to
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Release binaries, as they are shipped; they take minutes to build
    #[arg(long)]
    release: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Which cluster
    #[arg(long, default_value = "presence", value_name = "CLUSTER")]
    name: String,
}

pub(crate) fn up(workspace: &Workspace, wish: &Wish) -> Result<ExitCode> {
    let started = Instant::now();
    let profile = if wish.release { Profile::Release } else { Profile::Dev };
    let running = Cluster::find(&wish.name).ok();
    if running.is_none() {
        free(wish.port)?;
    }
    let binaries = step("the binaries", || binaries(workspace, profile))?;
    let (cluster, images) = stand(workspace, running, &binaries, || order(&wish.name, wish.port, false))?;
    let done = school::school(workspace, &cluster, &images).and_then(|school| {
        let issuer = Issuer::of(&folder(&wish.name)?, &binaries[0])?;
        school.open(&issuer)?;
        publish(&cluster, wish.port)?;
        issuer.ask(&format!("http://127.0.0.1:{}", wish.port)).map(|()| issuer)
    });
    match done {
        Ok(issuer) => say(wish, &issuer, started),
        Err(error) => {
            println!("up: it came this far:");
            objects::show(&cluster, NAMESPACE);
            let name = &wish.name;
            println!("up: the cluster stays as it is");
            println!("  logs       cargo xtask cluster dump --name {name} FOLDER");
            println!("  try again  cargo xtask up --name {name} --port {}", wish.port);
            println!("  end it     cargo xtask down --name {name}");
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn down(which: &Which) -> Result<ExitCode> {
    cluster::down(&which.name)?;
    objects::forget(&folder(&which.name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// A cluster whose nodes have all images. Images are put together while the cluster starts.
pub(crate) fn stand(
    workspace: &Workspace,
    running: Option<Cluster>,
    binaries: &[PathBuf],
    order: impl FnOnce() -> Order,
) -> Result<(Cluster, Images)> {
    let (cluster, images) = std::thread::scope(|scope| {
        let images = scope.spawn(|| Images::write(workspace, binaries));
        // On this thread: the cluster ends with the thread that starts it.
        let cluster = match running {
            Some(cluster) => Ok(cluster),
            None => step("the cluster", || Cluster::up(workspace, &order())),
        };
        let images = step("the images", || images.join().map_err(|_| anyhow!("it panicked"))?);
        (cluster, images)
    });
    let (cluster, images) = (cluster?, images?);
    step("the images on all nodes", || images.load(&cluster))?;
    Ok((cluster, images))
}

pub(crate) fn order(name: &str, port: u16, tied: bool) -> Order {
    let publication = Publication { listen: format!("127.0.0.1:{port}"), node_port: NODE_PORT };
    Order {
        name: name.to_owned(),
        nodes: NODES,
        publish: if tied { vec![] } else { vec![publication] },
        tied,
    }
}

/// Says what is done, and how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    println!("up: {what} …");
    let done = work().with_context(|| format!("up: {what}"))?;
    println!("up: {what} ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(done)
}

/// What is kept of a cluster beside the cluster: the key that signs tokens for it.
fn folder(name: &str) -> Result<PathBuf> {
    Ok(tools::cache()?.join("up").join(name))
}

fn free(port: u16) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("port {port} of 127.0.0.1 cannot be had ({error}): name another by --port"),
    }
}

/// A cluster that was up already may be published elsewhere, or by `cluster up` nowhere.
fn publish(cluster: &Cluster, port: u16) -> Result<()> {
    if TcpListener::bind(("127.0.0.1", port)).is_err() {
        return Ok(()); // by the supervisor, or else the question that follows is not answered
    }
    cluster.publish(&Publication { listen: format!("127.0.0.1:{port}"), node_port: NODE_PORT })
}

fn say(wish: &Wish, issuer: &Issuer, started: Instant) {
    let (name, port) = (&wish.name, wish.port);
    println!(
        "\npresence is up ({:.0} s). Join a classroom, in as many terminals as you like:\n",
        started.elapsed().as_secs_f64()
    );
    println!(
        "  {} cargo run -q -- join math --server http://127.0.0.1:{port} --account teacher-1\n",
        issuer.variable()
    );
    println!("  look   cargo xtask cluster exec --name {name} -- kubectl -n {NAMESPACE} get presence,pods");
    println!("  page   http://127.0.0.1:{port}/, with a token of");
    println!("         {} cargo run -q -- token --account student-1", issuer.variable());
    println!("  again  cargo xtask up --name {name} --port {port}    brings what has changed");
    println!("  end    cargo xtask down --name {name}");
}

/// For messages and commands: below the home folder, with `~`.
fn short(path: &Path) -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match home.as_deref().and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
