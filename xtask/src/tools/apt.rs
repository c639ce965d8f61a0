//! What comes as Debian packages: PostgreSQL, Redis, other languages where there are none, and what dependencies are built with. Finds their programs;
//! installs the packages when it may (as root). Installing must not start a server of the system: the tests start their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, tools};

/// Where Debian has them.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The folder with `initdb`, `postgres`, `pg_isready` and `psql`.
pub(crate) fn postgres_bin() -> Result<PathBuf> {
    ensure("postgresql", find_postgres)
}

pub(crate) fn redis_server() -> Result<PathBuf> {
    ensure("redis-server", || tools::in_path("redis-server"))
}

pub(crate) fn openssl() -> Result<PathBuf> {
    ensure("openssl", || tools::in_path("openssl"))
}

pub(crate) fn node() -> Result<()> {
    ensure("nodejs npm", || tools::in_path("node").and(tools::in_path("npm"))).map(drop)
}

pub(crate) fn python() -> Result<()> {
    ensure("python3 python3-venv", || {
        let venv = ["-c", "import venv, ensurepip"];
        process::probe(Command::new("/usr/bin/python3").args(venv)).map(|_| PathBuf::new())
    })
    .map(drop)
}

/// The allocator is built with it; a C compiler is there wherever Rust is.
pub(crate) fn make() -> Result<()> {
    ensure("make", || tools::in_path("make")).map(drop)
}

/// containerd, with what it and Kubernetes' nodes call: runc, CNI plugins, and tools of the network.
pub(crate) fn containerd() -> Result<PathBuf> {
    const PROGRAMS: [&str; 9] =
        ["ctr", "runc", "iptables", "nft", "ip", "conntrack", "ethtool", "socat", "nsenter"];
    let packages = "containerd runc containernetworking-plugins iptables nftables iproute2 conntrack ethtool \
                    socat util-linux";
    ensure(packages, || {
        let all = PROGRAMS.iter().all(|name| tools::in_path(name).is_some());
        let plugins = ["bridge", "host-local", "loopback"].iter();
        let plugged = plugins.map(|name| Path::new(CNI_PLUGINS).join(name)).all(|it| tools::is_program(&it));
        tools::in_path("containerd").filter(|_| all && plugged)
    })
}

/// The headers that the tests' foreign NATS client (`svc-nats-client`) is built with.
pub(crate) fn openssl_headers() -> Result<()> {
    let found =
        || Command::new("pkg-config").args(["--exists", "openssl"]).status().is_ok_and(|it| it.success());
    ensure("libssl-dev pkg-config openssl", || found().then(PathBuf::new)).map(drop)
}

fn find_postgres() -> Option<PathBuf> {
    let complete = |folder: &Path| {
        ["initdb", "postgres", "pg_isready", "psql"].iter().all(|name| tools::is_program(&folder.join(name)))
    };
    // A `postgres` in PATH may be a link into the folder that has the others.
    let in_path =
        tools::in_path("postgres").and_then(|found| Some(found.canonicalize().ok()?.parent()?.to_owned()));
    let debian = tools::versioned(Path::new("/usr/lib/postgresql"), "").into_iter().map(|it| it.join("bin"));
    in_path.into_iter().chain(debian).find(|folder| complete(folder))
}

/// Finds what the packages (with spaces between them) bring, installing them where it may.
fn ensure(package: &str, find: impl Fn() -> Option<PathBuf>) -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let _lock = tools::lock_cache()?;
    if let Some(found) = find() {
        return Ok(found);
    }
    install(package)?;
    find().with_context(|| format!("package {package} is installed, but its programs are not to be found"))
}

fn install(package: &str) -> Result<()> {
    let by_hand = format!("apt-get update && apt-get install --no-install-recommends {package}");
    if tools::in_path("apt-get").is_none() {
        bail!("{package} is missing and there is no apt-get; install it (on Debian: `{by_hand}`)");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("{package} is missing; install it as root: `{by_hand}`");
    }
    println!("installing the Debian package {package} …");
    let _no_start = NoServerStarts::begin()?;
    process::run(apt().args(["-qq", "update"]))?;
    let install = ["-qq", "install", "--yes", "--no-install-recommends"];
    process::run(apt().args(install).args(package.split(' ')))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While it lives, Debian's `invoke-rc.d` starts nothing. A policy that is there already is left alone.
struct NoServerStarts {
    ours: Option<PathBuf>,
}

impl NoServerStarts {
    fn begin() -> Result<Self> {
        let policy = PathBuf::from("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self { ours: None });
        }
        // 101: the action is forbidden by policy.
        fs::write(&policy, "#!/bin/sh\nexit 101\n").context("write policy-rc.d")?;
        fs::set_permissions(&policy, fs::Permissions::from_mode(0o755)).context("make policy-rc.d run")?;
        Ok(Self { ours: Some(policy) })
    }
}

impl Drop for NoServerStarts {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("xtask: remove {}: {error}", policy.display());
        }
    }
}
