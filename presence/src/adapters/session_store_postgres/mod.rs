//! `SessionStore`, `Outbox`, `Replicas`, `Audit` and `Lessons` on PostgreSQL 14 or later.
//!
//! Every operation but the audit is one statement, so each is atomic by itself and no connection is held across anything else.
//! Claims, releases and rosters are batched (`batch`): the statement for one is the statement for 64. Where a statement
//! has to see what was committed while it waited for a row's lock, it calls a volatile function of the schema
//! (`migrations/postgres`). It creates nothing: a role without DDL can serve.

mod audit;
mod claims;
mod database;
mod lessons;
mod migrations;
mod outbox;
mod pool;
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
use database::Database;
use futures_util::{FutureExt, future::BoxFuture};
use releases::Releases;
use rosters::Rosters;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// Under load a statement waits this long for company; it costs about as much for one as for many.
const PACE: Duration = Duration::from_millis(4);

/// Where the database is, and how much of it to use. The URL may hold a password, so it is never shown.
#[derive(Clone)]
pub struct PostgresOptions {
    pub url: String,
    pub max_connections: u32,
    /// How long a call may take in all, and each statement in the server.
    pub timeout: Duration,
    /// How long a call may wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a published event stays, so that a stream that lost its tail can be refilled.
    pub retention: Duration,
    /// How long a session of a replica that nobody knows is left alone, beyond the return window: its replica may be
    /// about to register again.
    pub orphan_grace: Duration,
}

impl PostgresOptions {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(2),
            retention: Duration::from_mins(10),
            orphan_grace: Duration::from_secs(10),
        }
    }
}

impl Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("max_connections", &self.max_connections)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct PostgresStore {
    database: Database,
    /// One of the connections, kept for leases: whoever cannot renew is dead, however long the others wait.
    leases: Database,
    claims: Batcher<Claims>,
    releases: Batcher<Releases>,
    rosters: Batcher<Rosters>,
    retention: Duration,
    orphan_grace: Duration,
}

impl PostgresStore {
    /// Connects and checks the schema; it needs the database to be up. The future performs the batches: nothing is
    /// claimed, released or listed unless somebody polls it, and it ends after the store is dropped.
    pub async fn open(options: &PostgresOptions) -> Result<(Arc<Self>, BoxFuture<'static, ()>), Error> {
        let rest = options.max_connections.saturating_sub(1);
        let database = Database::new(&PostgresOptions { max_connections: rest, ..options.clone() })?;
        let leases = Database::new(&PostgresOptions { max_connections: 1, ..options.clone() })?;
        migrations::check_schema(&database).await?;
        // One batch of a kind under way at a time: what comes meanwhile makes the next one larger, which serves a storm
        // better than two smaller ones side by side.
        let limits = Limits { queue: QUEUE, batch: BATCH, in_flight: 1, wait: options.timeout, pace: PACE };
        let (claims, claiming) = batcher(Claims::new(database.clone()), limits);
        let (releases, releasing) = batcher(Releases::new(database.clone()), limits);
        let (rosters, listing) = batcher(Rosters::new(database.clone()), limits);
        let store = Self {
            database,
            leases,
            claims,
            releases,
            rosters,
            retention: options.retention,
            orphan_grace: options.orphan_grace,
        };
        let run = async move {
            tokio::join!(claiming.run(), releasing.run(), listing.run());
        };
        Ok((Arc::new(store), run.boxed()))
    }

    /// Fails if the schema is no longer one that this build may serve on.
    pub async fn check_schema(&self) -> Result<(), Error> {
        migrations::check_schema(&self.database).await
    }

    /// Statements sent since the store was opened: its round trips.
    pub fn statements(&self) -> u64 {
        self.database.statements() + self.leases.statements()
    }

    /// Callers that wait for a batch or are in one.
    pub fn queued(&self) -> usize {
        self.claims.queued() + self.releases.queued() + self.rosters.queued()
    }
}
