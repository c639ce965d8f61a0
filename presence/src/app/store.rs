//! Which store, as the settings say.

use crate::{
    adapters::{
        schema,
        session_store_postgres::{self, PostgresOptions, PostgresStore},
        session_store_sqlite::{self, SqliteOptions, SqliteStore},
    },
    cli::Failure,
    config::{Config, store::StoreUrl},
    lifecycle::monitor::Count,
    ports::{
        Fault,
        lessons::Lessons,
        session_store::{Audit, Finding, Store},
    },
};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// How long a database that is away is waited for at the start.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(2);

pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) lessons: Arc<dyn Lessons>,
    /// Performs what is asked of the store.
    pub(super) run: BoxFuture<'static, ()>,
    pub(super) statements: Count,
}

/// Opens the store. A database that is away is waited for; one with another schema is refused at once.
pub(super) async fn open(config: &Config) -> Result<OpenStore, Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let error = match open_once(config).await {
            Ok(open) => return Ok(open),
            Err(error) => error,
        };
        let is_away = matches!(error, schema::Error::Store(Fault::Unavailable { .. }));
        if !is_away || tokio::time::Instant::now() >= deadline {
            return Err(failure("cannot open the store", error));
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "the store is away; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open_once(config: &Config) -> Result<OpenStore, schema::Error> {
    match config.store_url() {
        StoreUrl::Postgres(url) => {
            let options = PostgresOptions {
                max_connections: config.store.max_connections,
                ..PostgresOptions::new(url.expose())
            };
            let (store, run) = PostgresStore::open(&options).await?;
            let (lessons, counted) = (store.clone(), store.clone());
            Ok(OpenStore { store, lessons, run, statements: Box::new(move || counted.statements()) })
        }
        StoreUrl::Sqlite(path) => {
            let (store, run) = SqliteStore::open(&SqliteOptions::new(path)).await?;
            let (lessons, counted) = (store.clone(), store.clone());
            Ok(OpenStore { store, lessons, run, statements: Box::new(move || counted.statements()) })
        }
    }
}

/// Brings the schema up to date, and says what was done.
pub(super) async fn migrate(config: &Config) -> Result<schema::Applied, Failure> {
    let applied = match config.store_url() {
        StoreUrl::Postgres(url) => session_store_postgres::migrate(url.expose()).await,
        StoreUrl::Sqlite(path) => session_store_sqlite::migrate(&SqliteOptions::new(path)).await,
    };
    applied.map_err(|error| failure("cannot migrate the store", error))
}

/// Asks the store what it holds against the invariants. It is not waited for, not migrated and not written to.
pub(super) async fn verify(config: &Config, settled: Duration, limit: u32) -> Result<Vec<Finding>, Failure> {
    let store = inspect(config).await.map_err(|error| failure("cannot open the store", error))?;
    let findings = store.audit(settled, limit).await;
    findings.map_err(|fault| failure("cannot verify the store", fault.into()))
}

async fn inspect(config: &Config) -> Result<Arc<dyn Audit>, schema::Error> {
    Ok(match config.store_url() {
        StoreUrl::Postgres(url) => {
            let options = PostgresOptions { max_connections: 1, ..PostgresOptions::new(url.expose()) };
            let (store, _) = PostgresStore::open(&options).await?;
            store
        }
        StoreUrl::Sqlite(path) => SqliteStore::inspect(&SqliteOptions::new(path)).await?,
    })
}

fn failure(what: &'static str, error: schema::Error) -> Failure {
    match error {
        schema::Error::Store(_) => Failure::unavailable(what, error),
        _ => Failure::other(what, error),
    }
}
