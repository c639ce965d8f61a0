//! An operator as a process of the test's own, outside of the cluster, which can be killed at any moment.

use super::Place;
use crate::{environment, process::Process};
use anyhow::{Context, Result};
use std::{fs, net::SocketAddr, process::Command};

/// Ends with this.
#[derive(Debug)]
pub struct Operator {
    process: Process,
}

impl Operator {
    /// Starts one that looks after the place. `api` is where it is told that the API server is, without TLS; who it is to the
    /// API server is for what listens there to say. Several in a place stand for one after the other if they share a name.
    pub fn start(place: &Place, name: &str, api: SocketAddr) -> Result<Self> {
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{api}") } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context":
                { "cluster": "test", "user": "test", "namespace": place.namespace } }],
        });
        let path = place.folder().join(format!("{name}.kubeconfig"));
        fs::write(&path, config.to_string()).context("write a kubeconfig")?;
        let mut command = Command::new(environment::operator()?);
        command.env_clear().env("KUBECONFIG", path).env("RUST_BACKTRACE", "1");
        command.args(["run", "--watch-namespace", &place.namespace, "--lease-namespace", &place.namespace]);
        command.args(["--identity", name, "--health-addr", "127.0.0.1:0", "--log", "info"]);
        let process = Process::spawn(place.folder(), name, command)?;
        Ok(Self { process })
    }

    /// The last that it said.
    pub fn log(&self) -> String {
        self.process.log.tail()
    }

    /// Ends it without a word.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Sends a signal by name, and waits for its end, which must be in order.
    pub async fn stop(mut self) -> Result<()> {
        self.process.signal("TERM")?;
        let status = self.process.end().await?;
        anyhow::ensure!(status.success(), "the operator ended with {status}: {}", self.log());
        Ok(())
    }
}
