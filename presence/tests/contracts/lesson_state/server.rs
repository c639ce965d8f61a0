//! A Redis of a test's own: it can be stopped, frozen, and made a replica of another.

use crate::bus_kit::{environment, eventually};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

pub(crate) struct RedisServer {
    pub(crate) port: u16,
    folder: TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more words on its command line.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let mut server = Self::stopped();
        server.options = options.iter().map(|&option| option.to_owned()).collect();
        server.restart().await;
        server
    }

    pub(crate) fn stopped() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, folder: tempfile::tempdir().unwrap(), options: vec![], child: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// On the same port, and empty.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(environment("PRESENCE_TEST_REDIS_SERVER"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(self.port.to_string()).arg("--dir").arg(self.folder.path()).args(&self.options);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let address = ("127.0.0.1", self.port);
        eventually("Redis listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
