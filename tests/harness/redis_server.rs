//! A Redis of a scenario's own, which can be stopped and started where it was. It keeps nothing: as a cache that
//! was restarted, it is empty.

use crate::{environment, keys::Keys, nats_server::free_address, wait};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use url::Url;

/// Another process may take a port between our finding it free and the server's binding it.
const ATTEMPTS: usize = 3;

#[derive(Debug)]
pub struct RedisServer {
    pub address: SocketAddr,
    folder: PathBuf,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one that works in this folder.
    pub async fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).context("make Redis its folder")?;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut server = Self { address: free_address()?, folder: folder.to_owned(), child: None };
            match server.run().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// Starts it where it was.
    pub async fn run(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "Redis runs already");
        let log = File::options().create(true).append(true).open(self.folder.join("redis.log"));
        let port = self.address.port().to_string();
        let mut command = Command::new(environment::redis_server()?);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.context("make Redis its log")?);
        self.child = Some(command.spawn().context("start redis-server")?);
        let ready = async || self.keys("").await.map(drop);
        wait::eventually("Redis to be ready", ready).await
    }

    /// Without a word.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill Redis")?;
            child.wait().context("wait for the killed Redis")?;
        }
        Ok(())
    }

    pub fn url(&self) -> Result<Url> {
        format!("redis://{}", self.address).parse().context("an address makes a URL")
    }

    /// What is in it, by a connection that ends with the server.
    pub async fn keys(&self, prefix: &str) -> Result<Keys> {
        Keys::on(self.url()?, prefix).await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = self.kill();
    }
}
