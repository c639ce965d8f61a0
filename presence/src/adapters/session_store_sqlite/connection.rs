//! How statements reach the file: one connection that writes, a few that read, and which fault an error is.

use super::SqliteOptions;
use crate::{
    adapters::{schema, sql::WHAT},
    ports::Fault,
};
use sqlx::{
    ConnectOptions, FromRow, Sqlite, SqlitePool, Transaction,
    query::QueryAs,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};
use std::{
    fmt::Debug,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const READERS: u32 = 4;
/// SQLite's default, and what `max_bytes` is counted in.
const PAGE_BYTES: u32 = 4096;

/// The store's clock, in SQL: microseconds since 1970, to the millisecond, which is what SQLite knows.
macro_rules! now {
    () => {
        "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"
    };
}
pub(super) use now;

#[derive(Clone)]
pub(super) struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    statements: Arc<AtomicU64>,
}

impl Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("statements", &self.statements()).finish_non_exhaustive()
    }
}

impl Database {
    pub(super) async fn open(options: &SqliteOptions) -> Result<Self, schema::Error> {
        make_private(&options.path).await.map_err(|error| Fault::unavailable(WHAT, error))?;
        let mut connect = existing(options)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .page_size(PAGE_BYTES);
        if let Some(bytes) = options.max_bytes {
            connect = connect.pragma("max_page_count", (bytes / u64::from(PAGE_BYTES)).max(1).to_string());
        }
        // The writer first: it makes the file a WAL file.
        let writer = pool(options, 1).connect_with(connect.clone()).await.map_err(fault)?;
        let readers = pool(options, READERS).connect_lazy_with(connect.pragma("query_only", "ON"));
        Ok(Self { writer, readers, statements: Arc::default() })
    }

    /// A file that is there, beside the process that it serves. Nothing is made, migrated or written.
    pub(super) fn inspect(options: &SqliteOptions) -> Self {
        let connect = existing(options).read_only(true).pragma("query_only", "ON");
        let [writer, readers] = [(); 2].map(|()| pool(options, 1).connect_lazy_with(connect.clone()));
        Self { writer, readers, statements: Arc::default() }
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Reads the rows of one query.
    pub(super) async fn rows<T>(
        &self,
        query: QueryAs<'_, Sqlite, T, SqliteArguments>,
    ) -> Result<Vec<T>, Fault>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.statements.fetch_add(1, Ordering::Relaxed);
        query.fetch_all(&self.readers).await.map_err(fault)
    }

    /// Several reads of one snapshot, taken at the first. Dropped, it is over.
    pub(super) async fn read(&self) -> Result<Change, Fault> {
        let transaction = self.readers.begin().await.map_err(fault)?;
        self.statements.fetch_add(1, Ordering::Relaxed);
        Ok(Change { transaction, statements: Arc::clone(&self.statements) })
    }

    /// Begins to change things. Nobody else does until the change is committed, or dropped, which undoes it.
    pub(super) async fn change(&self) -> Result<Change, Fault> {
        // At once a writer: a transaction that reads first and then writes could be refused as out of date.
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
        self.statements.fetch_add(1, Ordering::Relaxed);
        Ok(Change { transaction, statements: Arc::clone(&self.statements) })
    }

    pub(super) const fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}

/// A transaction: of the one writer, or of a reader, which can change nothing.
pub(super) struct Change {
    transaction: Transaction<'static, Sqlite>,
    statements: Arc<AtomicU64>,
}

impl Change {
    pub(super) async fn rows<T>(
        &mut self,
        query: QueryAs<'_, Sqlite, T, SqliteArguments>,
    ) -> Result<Vec<T>, Fault>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.statements.fetch_add(1, Ordering::Relaxed);
        query.fetch_all(&mut *self.transaction).await.map_err(fault)
    }

    /// Executes a statement whose parameter is a list of rows, as JSON; returns how many rows it changed.
    pub(super) async fn each(
        &mut self,
        statement: &'static str,
        rows: &serde_json::Value,
    ) -> Result<u64, Fault> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let done = sqlx::query(statement)
            .bind(rows.to_string())
            .execute(&mut *self.transaction)
            .await
            .map_err(fault)?;
        Ok(done.rows_affected())
    }

    pub(super) async fn commit(self) -> Result<(), Fault> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.transaction.commit().await.map_err(fault)
    }
}

fn existing(options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&options.path)
        .busy_timeout(options.timeout)
        .disable_statement_logging()
}

fn pool(options: &SqliteOptions, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the folder and the file, where they are missing, readable by nobody else. SQLite gives its side files the
/// file's own mode.
async fn make_private(path: &Path) -> io::Result<()> {
    let mut folder = tokio::fs::DirBuilder::new();
    let mut file = tokio::fs::OpenOptions::new();
    file.append(true).create(true);
    #[cfg(unix)]
    {
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        folder.recursive(true).create(parent).await?;
    }
    file.open(path).await?;
    Ok(())
}

pub(super) fn fault(error: sqlx::Error) -> Fault {
    // The low byte of a code says what happened, the rest where. Busy, locked, no memory, read-only, I/O, full, cannot
    // open: each may pass. A corrupt file will not.
    const MAY_PASS: [i32; 7] = [5, 6, 7, 8, 10, 13, 14];
    let unavailable = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| MAY_PASS.contains(&(code & 0xff))),
        _ => false,
    };
    if unavailable { Fault::unavailable(WHAT, error) } else { Fault::failed(WHAT, error) }
}
