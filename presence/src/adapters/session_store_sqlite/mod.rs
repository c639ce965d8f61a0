//! `SessionStore`, `Outbox`, `Replicas`, `Audit` and `Lessons` in a SQLite file: the embedded store of a single process.
//!
//! The rules are those of the PostgreSQL store, in simpler statements, since one connection writes and nobody races
//! with it: a batch is one transaction. What was acknowledged is on the disk (WAL, synchronous FULL). A full or read-only
//! disk makes calls fail, never the process. It migrates its own file when it is opened.

mod audit;
mod claims;
mod connection;
mod leaving;
mod lessons;
mod migrations;
mod outbox;
mod reads;
mod releases;
mod replicas;
mod rosters;

pub use migrations::migrate;

use super::{
    batch::{Batcher, Limits, batcher},
    schema::Error,
    sql::{BATCH, QUEUE},
};
use claims::Claims;
use connection::Database;
use futures_util::{FutureExt, future::BoxFuture};
use releases::Releases;
use rosters::Rosters;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Where the file is, and what it may cost.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// It is created, with its folder, for the owner's eyes only, where it is missing.
    pub path: PathBuf,
    /// How large the file may grow; without it, as large as the disk.
    pub max_bytes: Option<u64>,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// How long a published event stays.
    pub retention: Duration,
    /// As in `PostgresOptions`.
    pub orphan_grace: Duration,
}

impl SqliteOptions {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: None,
            timeout: Duration::from_secs(5),
            retention: Duration::from_mins(10),
            orphan_grace: Duration::from_secs(10),
        }
    }
}

#[derive(Debug)]
pub struct SqliteStore {
    database: Database,
    claims: Batcher<Claims>,
    releases: Batcher<Releases>,
    rosters: Batcher<Rosters>,
    retention: Duration,
    orphan_grace: Duration,
}

impl SqliteStore {
    /// Opens the file, or makes it, and brings its schema up to date. The future performs the batches: nothing is
    /// claimed, released or listed unless somebody polls it, and it ends after the store is dropped.
    pub async fn open(options: &SqliteOptions) -> Result<(Arc<Self>, BoxFuture<'static, ()>), Error> {
        let database = Database::open(options).await?;
        migrations::bring_up_to_date(&database).await?;
        Ok(Self::on(database, options))
    }

    /// Opens a file that is there, to be audited beside the process that it serves: nothing is made, migrated or
    /// written, and nothing is batched.
    pub async fn inspect(options: &SqliteOptions) -> Result<Arc<Self>, Error> {
        let database = Database::inspect(options);
        migrations::check_schema(&database).await?;
        let (store, _) = Self::on(database, options);
        Ok(store)
    }

    fn on(database: Database, options: &SqliteOptions) -> (Arc<Self>, BoxFuture<'static, ()>) {
        let limits = |in_flight| Limits {
            queue: QUEUE,
            batch: BATCH,
            in_flight,
            wait: options.timeout,
            pace: Duration::ZERO,
        };
        let (claims, claiming) = batcher(Claims::new(database.clone()), limits(1));
        let (releases, releasing) = batcher(Releases::new(database.clone()), limits(1));
        let (rosters, listing) = batcher(Rosters::new(database.clone()), limits(2));
        let store = Self {
            database,
            claims,
            releases,
            rosters,
            retention: options.retention,
            orphan_grace: options.orphan_grace,
        };
        let run = async move {
            tokio::join!(claiming.run(), releasing.run(), listing.run());
        };
        (Arc::new(store), run.boxed())
    }

    /// Fails if the schema is no longer one that this build may serve on.
    pub async fn check_schema(&self) -> Result<(), Error> {
        migrations::check_schema(&self.database).await
    }

    /// Statements executed since the store was opened.
    pub fn statements(&self) -> u64 {
        self.database.statements()
    }

    /// Callers that wait for a batch or are in one.
    pub fn queued(&self) -> usize {
        self.claims.queued() + self.releases.queued() + self.rosters.queued()
    }
}
