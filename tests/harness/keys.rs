//! The lesson state in Redis, read and spoilt by a plain client, as the classroom's backend would.
//!
//! Tests share a server: a test's keys begin with a prefix of its own, or lie in a database of its own, where their
//! names are exactly those that the backend knows.

use crate::{environment, wait};
use anyhow::{Context, Result, ensure};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use url::Url;

/// The databases that a Redis has unless it is told otherwise, without the one that everybody gets.
static FREE: Mutex<Vec<u8>> = Mutex::new(vec![]);
static COUNTED: std::sync::Once = std::sync::Once::new();
const DATABASES: std::ops::RangeInclusive<u8> = 1..=15;

/// What a test may take from a time to live: it looks a little later than it was set.
const SLACK: Duration = Duration::from_mins(1);

/// A hash's fields.
pub type Fields = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Keys {
    connection: MultiplexedConnection,
    pub url: Url,
    pub prefix: String,
    /// Given back at the end.
    database: Option<u8>,
}

impl Keys {
    /// With a prefix, on the server that all tests share.
    pub async fn prefixed(prefix: &str) -> Result<Self> {
        Self::on(environment::redis()?, prefix).await
    }

    /// With exact names, in an empty database of the same server.
    pub async fn in_own_database() -> Result<Self> {
        let number = {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            COUNTED.call_once(|| free.extend(DATABASES));
            free.pop().context("more tests at once than Redis has databases")?
        };
        let mut url = environment::redis()?;
        url.set_path(&number.to_string());
        let mut keys = Self::on(url, "").await?;
        keys.database = Some(number);
        keys.flush().await?;
        Ok(keys)
    }

    pub async fn on(url: Url, prefix: &str) -> Result<Self> {
        let client = redis::Client::open(url.clone()).context("understand the URL of Redis")?;
        let connecting = client.get_multiplexed_async_connection();
        let connection = wait::within("Redis", connecting).await?.context("connect to Redis")?;
        Ok(Self { connection, url, prefix: prefix.to_owned(), database: None })
    }

    fn named(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn redis(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// A hash; empty where there is none.
    pub async fn hash(&self, key: &str) -> Result<Fields> {
        self.redis().hgetall(self.named(key)).await.with_context(|| format!("read the hash {key}"))
    }

    pub async fn text(&self, key: &str) -> Result<Option<String>> {
        self.redis().get(self.named(key)).await.with_context(|| format!("read {key}"))
    }

    pub async fn set_fields(&self, key: &str, fields: &[(&str, &str)]) -> Result<()> {
        let set: Result<(), _> = self.redis().hset_multiple(self.named(key), fields).await;
        set.with_context(|| format!("write the hash {key}"))
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        let deleted: Result<(), _> = self.redis().del(self.named(key)).await;
        deleted.with_context(|| format!("delete {key}"))
    }

    pub async fn exists(&self, key: &str) -> Result<bool> {
        self.redis().exists(self.named(key)).await.with_context(|| format!("look for {key}"))
    }

    /// How long a key still lives; none: it does not expire. One that is not there is an error.
    pub async fn ttl(&self, key: &str) -> Result<Option<Duration>> {
        let left: i64 = self.redis().pttl(self.named(key)).await.with_context(|| format!("read {key}"))?;
        ensure!(left != -2, "there is no {key}");
        Ok(u64::try_from(left).ok().map(Duration::from_millis))
    }

    /// The keys of the classroom's backend. The service's own, which hold a `presence:`, are not among them.
    pub async fn names(&self) -> Result<BTreeSet<String>> {
        let mut all = self.all().await?;
        all.retain(|key| !key.contains("presence:"));
        Ok(all)
    }

    /// All keys.
    pub async fn all(&self) -> Result<BTreeSet<String>> {
        let found: Vec<String> =
            self.redis().keys(format!("{}*", self.prefix)).await.context("list the keys")?;
        Ok(found.iter().filter_map(|key| key.strip_prefix(&self.prefix)).map(str::to_owned).collect())
    }

    /// Everything in this database, whoever's it is.
    pub async fn flush(&self) -> Result<()> {
        let flushed: Result<(), _> = redis::cmd("FLUSHDB").query_async(&mut self.redis()).await;
        flushed.context("empty the database")
    }

    /// Waits until a hash holds exactly this.
    pub async fn expect_hash(&self, key: &str, expected: &[(&str, &str)]) -> Result<()> {
        let expected = fields(expected);
        wait::eventually("a hash to be right", async || {
            let found = self.hash(key).await?;
            ensure!(found == expected, "{key} is {found:?}, expected {expected:?}");
            Ok(())
        })
        .await
    }

    pub async fn expect_absent(&self, key: &str) -> Result<()> {
        wait::eventually("a key to go", async || {
            ensure!(!self.exists(key).await?, "{key} is there");
            Ok(())
        })
        .await
    }

    /// A key that was just given so long to live, or none that ends.
    pub async fn expect_ttl(&self, key: &str, expected: Option<Duration>) -> Result<()> {
        let found = self.ttl(key).await?;
        let is_right = match (found, expected) {
            (Some(found), Some(expected)) => found <= expected && found + SLACK >= expected,
            (found, expected) => found == expected,
        };
        ensure!(is_right, "{key} lives for {found:?}, expected {expected:?}");
        Ok(())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(number) = self.database {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        }
    }
}

pub fn fields(of: &[(&str, &str)]) -> Fields {
    of.iter().map(|&(field, value)| (field.to_owned(), value.to_owned())).collect()
}
