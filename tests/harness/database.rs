//! A PostgreSQL database of a test's own, driven by `psql`; dropped with the test.

use crate::environment;
use anyhow::{Context, Result, ensure};
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};
use url::Url;

#[derive(Debug)]
pub struct Database {
    server: Url,
    name: String,
}

impl Database {
    /// Makes an empty database.
    pub fn create(name: &str) -> Result<Self> {
        Self::create_on(environment::postgres()?, name)
    }

    /// Makes an empty database on this server, of which it is given a superuser's URL.
    pub fn create_on(server: Url, name: &str) -> Result<Self> {
        psql(&server, &format!("CREATE DATABASE \"{name}\""))?;
        Ok(Self { server, name: name.to_owned() })
    }

    pub fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }

    /// The same database, reached by another way.
    pub fn url_by(&self, way: SocketAddr) -> Result<Url> {
        let mut url = self.url();
        set_host(&mut url, way)?;
        Ok(url)
    }

    pub fn address(&self) -> Result<SocketAddr> {
        address(&self.server)
    }

    /// From here on it is where it was copied to.
    pub fn moved_to(&mut self, server: Url) {
        self.server = server;
    }

    /// What a query answers, as `psql` prints it bare.
    pub fn query(&self, sql: &str) -> Result<String> {
        psql(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Left behind, it harms nobody; the server is a throw-away one.
        let _ = psql(&self.server, &format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name));
    }
}

pub(crate) fn psql(url: &Url, sql: &str) -> Result<String> {
    let mut command = Command::new(environment::psql()?);
    command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1"]);
    command.args(["--command", sql, url.as_str()]).stdin(Stdio::null());
    let output = command.output().context("run psql")?;
    ensure!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a URL's server listens. Tests run beside their servers, so it is an address.
pub fn address(url: &Url) -> Result<SocketAddr> {
    let addresses = url.socket_addrs(|| match url.scheme() {
        "nats" => Some(4222),
        "redis" => Some(6379),
        _ => Some(5432),
    });
    let first = addresses.ok().and_then(|addresses| addresses.first().copied());
    first.with_context(|| format!("find the address in {}", url.scheme()))
}

/// Puts another server's address into a URL.
pub fn set_host(url: &mut Url, to: SocketAddr) -> Result<()> {
    let set = url.set_ip_host(to.ip()).and_then(|()| url.set_port(Some(to.port())));
    set.ok().context("put an address into a URL")
}
