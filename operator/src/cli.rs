//! The command line: what is asked for, where it comes from, and the code it ends with, which says who has to act.

use std::{io, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{telemetry::chain, telemetry::logs::LogFormat};

/// Keeps every `PresenceCluster` as it is written.
#[derive(Debug, Parser)]
#[command(name = "presence-operator", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Act on the cluster until told to stop. What is done without a command, too.
    Run(Run),
    /// Print the custom resource definition as YAML.
    Crd,
    /// Print the objects that would be made of a `PresenceCluster`, as YAML, without a cluster.
    Render {
        /// The `PresenceCluster`, in YAML or JSON; `-` reads standard input.
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Ask the API server whether the operator works and may do what it has to: what `helm test` runs.
    SelfTest(SelfTest),
    /// Print the version.
    Version,
}

#[derive(Clone, Debug, Args)]
pub struct SelfTest {
    /// The only `PresenceCluster`s there are, where the operator's rights are narrowed to them.
    #[arg(long = "presence-cluster", value_name = "NAME")]
    pub presence_clusters: Vec<String>,
    /// The only Secrets that may be read, where the operator's rights are narrowed to them.
    #[arg(long = "secret-name", value_name = "NAME")]
    pub secret_names: Vec<String>,
    /// How many seconds an operator may take until it holds the lease.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=600))]
    pub patience: u16,
    /// Of the operator that is tested, as it is started.
    #[command(flatten)]
    pub run: Run,
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Namespaces to watch. Without any, all of them, for which the operator needs cluster-wide rights.
    #[arg(long = "watch-namespace", env = "PRESENCE_OPERATOR_WATCH_NAMESPACES", value_delimiter = ',', num_args = 1..)]
    pub namespaces: Vec<String>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "PRESENCE_OPERATOR_HEALTH_ADDR", default_value = "0.0.0.0:8888")]
    pub health_addr: SocketAddr,
    /// The Lease that tells which of several operators acts.
    #[arg(long, env = "PRESENCE_OPERATOR_LEASE_NAME", default_value = "presence-operator")]
    pub lease_name: String,
    /// The namespace of the Lease: the operator's own.
    #[arg(long, env = "POD_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What this process is called in the Lease: its pod's name. Two processes never share one. Without it, one is made up.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// The labels of the operator's own pods, `key=value,…`, by which NetworkPolicies let it ask pods for their agents.
    #[arg(long, env = "PRESENCE_OPERATOR_POD_LABELS", value_delimiter = ',', value_parser = label, num_args = 1..)]
    pub pod_labels: Vec<(String, String)>,
    /// How many resources are looked at at a time.
    #[arg(long, env = "PRESENCE_OPERATOR_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// One JSON object a line, or for people.
    #[arg(long, env = "PRESENCE_OPERATOR_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Which messages: `info`, or `info,presence_operator=debug`.
    #[arg(long, env = "PRESENCE_OPERATOR_LOG", default_value = "info")]
    pub log: String,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written key=value".to_owned()),
    }
}

impl Run {
    /// Empty entries are what an unset variable leaves.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let mut named: Vec<String> = self
            .namespaces
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        named.sort_unstable();
        named.dedup();
        if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
    }
}

/// How a command fails.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Whoever wrote the settings, or the file, has to act.
    #[error("{what}")]
    Settings { what: String, source: Option<Box<dyn std::error::Error + Send + Sync>> },
    /// Something that is needed is not to be had now.
    #[error("{what}")]
    Unavailable { what: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the result cannot be written")]
    Output(#[from] io::Error),
    /// What was to be tested did not pass; what was found has been printed.
    #[error("not everything is as it has to be")]
    SelfTest,
}

impl Failure {
    pub fn settings(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Settings { what: what.into(), source: Some(source.into()) }
    }

    pub fn unavailable(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { what: what.into(), source: source.into() }
    }

    /// As in `sysexits.h`, and as the server's.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Settings { .. } => 78,
            Self::Unavailable { .. } => 69,
            Self::Output(_) | Self::SelfTest => 1,
        }
    }

    pub fn report(&self) -> String {
        chain(self)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli =
            Cli::parse_from(["presence-operator", "--watch-namespace", "a,b", "--watch-namespace", "a"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.run.scopes(), [Some("a".to_owned()), Some("b".to_owned())]);
        let cli = Cli::parse_from(["presence-operator", "run", "--pod-labels", "a=b,c="]);
        let Some(Command::Run(run)) = cli.command else { panic!("it is to run") };
        assert_eq!(run.pod_labels, [("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        assert_eq!(run.scopes(), [None]);
        assert!(Cli::try_parse_from(["presence-operator", "--pod-labels", "a"]).is_err());
        assert!(Cli::try_parse_from(["presence-operator", "--concurrency", "0"]).is_err());
    }
}
