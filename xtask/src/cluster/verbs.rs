//! The command line of `cargo xtask cluster`: what is asked for, and what is said about it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::{Cluster, Order, Publication, birth};
use crate::process;
use crate::workspace::Workspace;

#[derive(Debug, Clone, Args)]
pub(crate) struct Named {
    /// Which cluster
    #[arg(long, default_value = "presence", value_name = "CLUSTER")]
    name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a cluster, and return when its nodes are Ready and its DNS answers
    Up {
        #[command(flatten)]
        named: Named,
        /// How many nodes
        #[arg(long, default_value_t = 2)]
        nodes: u8,
        /// Let an address of the host's loopback reach a `NodePort`: 127.0.0.1:8080=30080 (may be given again)
        #[arg(long, value_name = "ADDRESS=NODEPORT", value_parser = publication)]
        publish: Vec<Publication>,
        /// Stay, and end the cluster when this command ends, however it ends
        #[arg(long)]
        foreground: bool,
    },
    /// End a cluster and remove all that it left
    Down {
        #[command(flatten)]
        named: Named,
    },
    /// Run a command in the cluster's network; kubectl and helm are there and see the cluster
    Exec {
        #[command(flatten)]
        named: Named,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Give all nodes the images of OCI or Docker archives
    LoadImage {
        #[command(flatten)]
        named: Named,
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Write logs, objects (no secret's content), events and the audit log into a folder
    Dump {
        #[command(flatten)]
        named: Named,
        folder: PathBuf,
    },
    /// Let an address of the host's loopback reach a `NodePort` of a cluster that runs
    Publish {
        #[command(flatten)]
        named: Named,
        /// 127.0.0.1:8080=30080
        #[arg(value_name = "ADDRESS=NODEPORT", value_parser = publication)]
        publication: Publication,
    },
    /// Take a node's power, or give it back
    #[command(subcommand)]
    Node(NodeVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// All of the node's processes end at once; its disk stays
    Kill(NodeNamed),
    /// The node returns, with its disk
    Start(NodeNamed),
}

#[derive(Debug, Args)]
pub(crate) struct NodeNamed {
    #[command(flatten)]
    named: Named,
    /// As Kubernetes names it: node1
    node: String,
}

pub(crate) fn run(workspace: &Workspace, verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Up { named, nodes, publish, foreground } => {
            up(workspace, &Order { name: named.name, nodes, publish, tied: foreground })?;
        }
        Verb::Down { named } => down(&named.name)?,
        Verb::Exec { named, command } => return exec(&find(&named)?, &command),
        Verb::LoadImage { named, archives } => {
            let cluster = find(&named)?;
            archives.iter().try_for_each(|archive| cluster.load_image(archive))?;
        }
        Verb::Dump { named, folder } => find(&named)?.dump(&folder)?,
        Verb::Publish { named, publication } => find(&named)?.publish(&publication)?,
        Verb::Node(NodeVerb::Kill(it)) => find(&it.named)?.kill_node(&it.node)?,
        Verb::Node(NodeVerb::Start(it)) => find(&it.named)?.start_node(&it.node)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn find(named: &Named) -> Result<Cluster> {
    Cluster::find(&named.name)
}

fn up(workspace: &Workspace, order: &Order) -> Result<()> {
    let cluster = Cluster::up(workspace, order)?;
    let name = cluster.name();
    println!("  kubeconfig  {}", cluster.kubeconfig().display());
    println!("  use it      cargo xtask cluster exec --name {name} -- kubectl get nodes");
    println!("  end it      cargo xtask cluster down --name {name}");
    if order.tied {
        println!("until Ctrl-C");
        while process::check_interrupted().is_ok() {
            if !birth::is_alive(&cluster.state) {
                bail!("cluster `{name}` has ended");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

pub(crate) fn down(name: &str) -> Result<()> {
    if let Ok(cluster) = Cluster::find(name) {
        cluster.down()?;
        println!("cluster: `{name}` is no more");
        return Ok(());
    }
    birth::clear(name)
}

fn exec(cluster: &Cluster, words: &[String]) -> Result<ExitCode> {
    let (program, args) = words.split_first().context("a command is required")?;
    let mut command = cluster.command(program)?;
    cluster.tell(&mut command);
    let status = process::run_guest(command.args(args))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn publication(text: &str) -> Result<Publication> {
    let (listen, port) = text.rsplit_once('=').context("write ADDRESS=NODEPORT")?;
    let address: std::net::SocketAddr = listen.parse().context("an address is like 127.0.0.1:8080")?;
    if !address.ip().is_loopback() {
        bail!("only addresses of the loopback may be published");
    }
    let node_port = port.parse().context("a NodePort is a number, like 30080")?;
    Ok(Publication { listen: address.to_string(), node_port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_may_be_published_on() {
        let it = publication("127.0.0.1:8080=30080").unwrap();
        assert_eq!((it.listen.as_str(), it.node_port), ("127.0.0.1:8080", 30080));
        for wrong in
            ["0.0.0.0:80=30080", "10.0.0.1:80=30080", "127.0.0.1=30080", "127.0.0.1:80", "127.0.0.1:80=x"]
        {
            assert!(publication(wrong).is_err(), "{wrong}");
        }
    }
}
