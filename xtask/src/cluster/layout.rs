//! Names, addresses and folders of a test cluster. Pure but for `State::of`, which asks where the cache is. Addresses are
//! the same in every cluster: each has a network of its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::tools;

pub(crate) const CONTROL: &str = "control";
pub(crate) const API_SERVER: &str = "10.99.0.1";
pub(crate) const API_PORT: u16 = 6443;
pub(crate) const PODS: &str = "10.98.0.0/16";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The first of the services' addresses: `kubernetes.default`.
pub(crate) const API_SERVICE: &str = "10.96.0.1";
pub(crate) const DNS_SERVICE: &str = "10.96.0.10";
/// Names of nodes have one digit, and a laptop its limits.
pub(crate) const MOST_NODES: u8 = 9;

pub(crate) fn node_name(index: u8) -> String {
    format!("node{index}")
}

pub(crate) fn node_address(index: u8) -> String {
    format!("10.99.0.{}", 10 + u16::from(index))
}

/// The pods of a node; nodes route each other's.
pub(crate) fn pods_of(index: u8) -> String {
    format!("10.98.{index}.0/24")
}

/// The clusters' folder; each has one in it, named after it.
pub(crate) fn clusters() -> Result<PathBuf> {
    Ok(tools::cache()?.join("clusters"))
}

/// Linux' limit for the path of a Unix socket, with its final zero.
const SOCKET_PATH: usize = 108;

/// A cluster's folder: all it has on the machine, but for its cgroups and processes.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl State {
    pub(crate) fn of(name: &str) -> Result<Self> {
        Self::below(&clusters()?, name)
    }

    fn below(clusters: &Path, name: &str) -> Result<Self> {
        let fits = !name.is_empty()
            && name.len() <= 32
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !fits {
            bail!("`{name}` is no name for a cluster: up to 32 of a-z, 0-9 and -, a letter first");
        }
        let state = Self { name: name.to_owned(), folder: clusters.join(name) };
        // Nodes have their own of these, so nothing below them can be seen from a node.
        if let Some(hidden) =
            ["/run", "/var/lib", "/var/log", "/proc"].iter().find(|it| clusters.starts_with(it))
        {
            bail!(
                "the cache may not lie below {hidden}, where nodes mount their own: set PRESENCE_XTASK_CACHE"
            );
        }
        if state.socket().as_os_str().len() >= SOCKET_PATH {
            bail!("{} is too long for a socket: set PRESENCE_XTASK_CACHE", state.socket().display());
        }
        Ok(state)
    }

    /// The root of its cgroups: the same name in another cache is another cluster.
    pub(crate) fn cgroup(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.folder.hash(&mut hasher);
        format!("presence-{}-{:08x}", self.name, hasher.finish() & 0xffff_ffff)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// Locked by the supervisor for as long as the cluster lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.folder.join("pids.json")
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.folder.join("plan.json")
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.join("programs.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs().join(CONTROL).join("audit.json")
    }

    /// The administrator's.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    pub(crate) fn kubeconfig_of(&self, who: &str) -> PathBuf {
        self.folder.join("etc").join(format!("{who}.kubeconfig"))
    }

    pub(crate) fn etc(&self, file: &str) -> PathBuf {
        self.folder.join("etc").join(file)
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.folder.join("pki").join(file)
    }

    /// What a machine keeps over a power loss.
    pub(crate) fn disk(&self, machine: &str, part: &str) -> PathBuf {
        self.folder.join("disks").join(machine).join(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_fit_everywhere_are_taken() {
        let cache = Path::new("/cache/clusters");
        assert!(State::below(cache, "presence").is_ok());
        assert!(State::below(cache, "tier-2").is_ok());
        for wrong in ["", "Presence", "2nd", "a/b", "..", "a.b", &"a".repeat(33)] {
            assert!(State::below(cache, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cache_that_nodes_could_not_see_is_refused() {
        let error = State::below(Path::new("/var/lib/cache"), "presence").unwrap_err();
        assert!(error.to_string().contains("/var/lib"), "{error}");
        let long = format!("/{}", "x".repeat(120));
        assert!(State::below(Path::new(&long), "presence").unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn clusters_of_one_name_in_two_caches_share_no_cgroup() {
        let one = State::below(Path::new("/a"), "presence").unwrap();
        let other = State::below(Path::new("/b"), "presence").unwrap();
        assert_ne!(one.cgroup(), other.cgroup());
        assert!(one.cgroup().starts_with("presence-presence-"));
    }

    #[test]
    fn nodes_have_addresses_of_their_own() {
        assert_eq!(
            (node_name(1), node_address(1), pods_of(1)),
            ("node1".into(), "10.99.0.11".into(), "10.98.1.0/24".into())
        );
        assert_eq!(node_address(MOST_NODES), "10.99.0.19");
    }
}
