//! A NATS server of a scenario's own: it keeps its port over restarts, and its store unless that is wiped.

use crate::{environment, wait};
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use url::Url;

/// Another process may take a port between our finding it free and the server's binding it.
const ATTEMPTS: usize = 3;
const STREAM: &str = "classroom";

#[derive(Debug)]
pub struct NatsServer {
    pub address: SocketAddr,
    folder: PathBuf,
    child: Option<Child>,
    starts: usize,
}

impl NatsServer {
    /// Starts one that works in this folder.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut server = Self::stopped(folder)?;
            match server.run().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    fn stopped(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).context("make NATS its folder")?;
        let address = free_address()?;
        let store = folder.join("store");
        let config = format!(
            "host: 127.0.0.1\nport: {}\njetstream {{ store_dir: {:?}, max_file_store: 1GB }}\n",
            address.port(),
            store.display().to_string()
        );
        fs::write(folder.join("nats.conf"), config).context("write NATS its configuration")?;
        Ok(Self { address, folder: folder.to_owned(), child: None, starts: 0 })
    }

    /// Starts it where it was.
    pub async fn run(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "NATS runs already");
        self.starts += 1;
        let log = self.folder.join(format!("nats-{}.log", self.starts));
        let mut command = Command::new(environment::nats_server()?);
        command.arg("-c").arg(self.folder.join("nats.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&log).context("make NATS its log")?);
        self.child = Some(command.spawn().context("start nats-server")?);
        let ready = async || {
            let text = fs::read_to_string(&log).context("read NATS its log")?;
            ensure!(text.contains("Server is ready"), "its log:\n{text}");
            Ok(())
        };
        wait::eventually("NATS to be ready", ready).await
    }

    /// As an operator stops it: what was acknowledged is on disk.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let told = Command::new("kill").arg(child.id().to_string()).status();
        ensure!(told.context("run kill")?.success(), "NATS could not be told to stop");
        let ended = async || child.try_wait().context("look after NATS")?.context("it still runs");
        wait::eventually("NATS to stop", ended).await.map(drop)
    }

    /// Without a word.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill NATS")?;
            child.wait().context("wait for the killed NATS")?;
        }
        Ok(())
    }

    /// Forgets all that was kept. It must not run.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.child.is_none(), "NATS runs on what is to be wiped");
        fs::remove_dir_all(self.folder.join("store")).context("wipe what NATS kept")
    }

    pub fn url(&self) -> Result<Url> {
        format!("nats://{}", self.address).parse().context("an address makes a URL")
    }

    /// Somebody with the right to it deletes the stream.
    pub async fn delete_stream(&self) -> Result<()> {
        let client = async_nats::connect(self.url()?.as_str()).await.context("connect to NATS")?;
        let deleted = jetstream::new(client).delete_stream(STREAM).await.context("delete the stream")?;
        ensure!(deleted.success, "the stream was not deleted");
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // There is nobody to tell, and the store goes with the folder.
        let _ = self.kill();
    }
}

/// An address that nothing listens on at this moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("find a free port")
}
