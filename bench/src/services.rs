//! PostgreSQL and NATS as the benchmark needs them: a database and a stream of its own, removed afterwards. It starts
//! neither; who started them says where they are in the environment.

use crate::machine;
use anyhow::{Context, Result};
use async_nats::jetstream;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The stream that the server under measurement makes. Nobody else's: it is removed before and after.
pub(crate) const STREAM: &str = "presence_bench";

#[derive(Debug, Clone)]
pub(crate) struct Services {
    postgres: String,
    psql: PathBuf,
    /// None where nobody said: only benchmarks of classroom apps need it.
    redis: Option<String>,
    pub(crate) nats: String,
    pub(crate) client: async_nats::Client,
}

/// A database of one server's life. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Database {
    services: Services,
    name: String,
    pub(crate) url: String,
}

impl Services {
    pub(crate) async fn find() -> Result<Self> {
        let postgres = variable("PRESENCE_TEST_POSTGRES", "the postgres:// URL of a superuser")?;
        let nats = variable("PRESENCE_TEST_NATS", "the nats:// URL of a JetStream server")?;
        let psql = std::env::var_os("PRESENCE_TEST_PG_BIN")
            .map_or_else(|| PathBuf::from("psql"), |folder| PathBuf::from(folder).join("psql"));
        let client = async_nats::connect(&nats).await.context("connect to PRESENCE_TEST_NATS")?;
        let redis = std::env::var("PRESENCE_TEST_REDIS").ok();
        Ok(Self { postgres, psql, redis, nats, client })
    }

    pub(crate) fn database(&self) -> Result<Database> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("presence_bench_{}_{count}", std::process::id());
        self.sql(&format!("CREATE DATABASE {name}")).context("make a database")?;
        let url = with_database(&self.postgres, &name)?;
        Ok(Database { services: self.clone(), name, url })
    }

    /// The URL of an empty database of Redis; each number is another one.
    pub(crate) async fn redis(&self, number: u8) -> Result<String> {
        let server = self.redis.as_deref().context(
            "PRESENCE_TEST_REDIS is not set: it is the redis:// URL of a server (`cargo xtask bench` sets it)",
        )?;
        let address = server.strip_prefix("redis://").context("PRESENCE_TEST_REDIS is no redis:// URL")?;
        let address = address.split_once('/').map_or(address, |(address, _)| address);
        let mut tcp = TcpStream::connect(address).await.context("connect to PRESENCE_TEST_REDIS")?;
        tcp.write_all(format!("SELECT {number}\r\nFLUSHDB\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        tcp.take(1024).read_to_string(&mut answer).await.context("empty a database of Redis")?;
        anyhow::ensure!(answer.starts_with("+OK\r\n+OK\r\n"), "Redis said: {answer}");
        Ok(format!("redis://{address}/{number}"))
    }

    fn sql(&self, statement: &str) -> Result<String> {
        self.sql_at(&self.postgres, statement)
    }

    fn sql_at(&self, url: &str, statement: &str) -> Result<String> {
        let psql = self.psql.to_str().context("PRESENCE_TEST_PG_BIN is not UTF-8")?;
        machine::run(psql, &["-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement, url])
    }

    /// Removes our stream, if it is there.
    pub(crate) async fn forget_stream(&self) {
        // It is not there the first time.
        let _ = self.jetstream().delete_stream(STREAM).await;
    }

    /// How many JetStream consumers our stream has.
    pub(crate) async fn consumers(&self) -> Result<usize> {
        let stream = self.jetstream().get_stream(STREAM).await.context("look at the stream")?;
        Ok(stream.cached_info().state.consumer_count)
    }

    pub(crate) fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client.clone())
    }

    pub(crate) fn facts(&self) -> Value {
        let cpus = |port: Option<u16>| machine::allowed_cpus(&machine::listener(port?)?);
        json!({
            "postgres": self.sql("SHOW server_version").ok(),
            "postgres_cpus": cpus(self.sql("SHOW port").ok().and_then(|port| port.parse().ok())),
            "postgres_fsync": self.sql("SHOW fsync").ok(),
            "nats": self.client.server_info().version,
            "nats_cpus": cpus(Some(self.client.server_info().port)),
        })
    }
}

impl Database {
    pub(crate) fn sql(&self, statement: &str) -> Result<String> {
        self.services.sql_at(&self.url, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Err(error) = self.services.sql(&statement) {
            crate::say(&format!("the database {} is left behind: {error:#}", self.name));
        }
    }
}

fn variable(name: &str, what: &str) -> Result<String> {
    std::env::var(name)
        .ok()
        .with_context(|| format!("{name} is not set: it is {what} (`cargo xtask bench` sets it)"))
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (server, options) =
        url.split_once('?').map_or((url, None), |(server, options)| (server, Some(options)));
    let (scheme, rest) = server.split_once("://").context("PRESENCE_TEST_POSTGRES is no URL")?;
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}/{name}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_changed_and_nothing_else() {
        let with = |url| with_database(url, "b").unwrap();
        assert_eq!(with("postgres://u@h:5/a"), "postgres://u@h:5/b");
        assert_eq!(with("postgres://u@h:5"), "postgres://u@h:5/b");
        assert_eq!(with("postgres://u@h:5/a?x=/y"), "postgres://u@h:5/b?x=/y");
        assert!(with_database("a", "b").is_err());
    }
}
