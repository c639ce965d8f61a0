//! The reference server (`tests/reference/`), running: where frames of our door are to be those of another's.

use crate::{environment, process::Process, wait};
use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

#[derive(Debug)]
pub struct Reference {
    pub address: SocketAddr,
    _process: Process,
}

impl Reference {
    /// Without a database and a Redis: every lesson exists but `nowhere`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new(environment::reference()?);
        command.env_remove("REFERENCE_REDIS_URL").env_remove("REFERENCE_POSTGRES_URL").stdin(Stdio::null());
        let process = Process::spawn(folder, "reference", command)?;
        let port = wait::eventually("the reference to listen", async || {
            let said = process.stdout()?;
            let port = said.lines().find_map(|line| line.strip_prefix("listening ")?.parse().ok());
            port.with_context(|| format!("it said: {said}"))
        })
        .await?;
        Ok(Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _process: process })
    }
}
