//! How a statement reaches the database: its bounds, what is retried, and which fault an error is.

use super::{
    PostgresOptions,
    pool::{Borrowed, Pool, late},
};
use crate::{
    adapters::{schema, sql::WHAT},
    ports::Fault,
};
use sqlx::{
    ConnectOptions, FromRow, Postgres,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::QueryAs,
};
use std::{
    borrow::Cow,
    fmt::Debug,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// Times a statement is sent again after a lost race. A deadlock needs another batch that locks out of order, which
/// ours do not; this is for what a site does beside us.
const RETRIES: u32 = 4;

/// One snapshot for all that follows, and nothing changes by it. A question may be a large one.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '1min'";

#[derive(Clone)]
pub(super) struct Database {
    pool: Arc<Pool>,
    statements: Arc<AtomicU64>,
    timeout: Duration,
}

impl Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("statements", &self.statements()).finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, schema::Error> {
        let limit = format!("{}ms", options.timeout.as_millis());
        // The server gives up when we do, so that a claim nobody waits for does not go through later. The schema's
        // functions rely on READ COMMITTED; a server whose default is another must not break them.
        let connect = parse_url(&options.url)?.options([
            ("statement_timeout", limit.as_str()),
            ("default_transaction_isolation", "read committed"),
        ]);
        let pool = Pool::new(connect, options.max_connections, options.acquire_timeout);
        Ok(Self { pool: Arc::new(pool), statements: Arc::default(), timeout: options.timeout })
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Sends one statement and reads its rows. `statement` makes it anew for each try.
    pub(super) async fn rows<'q, T>(
        &self,
        statement: impl Fn() -> QueryAs<'q, Postgres, T, PgArguments>,
    ) -> Result<Vec<T>, Fault>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut tries = 0;
        loop {
            match self.once(statement()).await {
                Err(error) if tries < RETRIES && lost_race(&error) => {
                    tries += 1;
                    tokio::time::sleep(jitter(tries)).await;
                }
                other => return other.map_err(fault),
            }
        }
    }

    async fn once<T>(&self, statement: QueryAs<'_, Postgres, T, PgArguments>) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut borrowed = self.pool.borrow().await?;
        self.statements.fetch_add(1, Ordering::Relaxed);
        let rows = statement.fetch_all(borrowed.connection());
        let rows = timeout(self.timeout, rows).await.unwrap_or_else(|_| Err(late()));
        match &rows {
            Err(error) if spoils_connection(error) => self.pool.forget_idle(),
            _ => self.pool.give_back(borrowed),
        }
        rows
    }
}

/// Several reads of one snapshot. Dropped before its end, it costs the connection.
pub(super) struct Reading<'a> {
    borrowed: Borrowed<'a>,
    database: &'a Database,
}

impl Database {
    pub(super) async fn read(&self) -> Result<Reading<'_>, Fault> {
        let borrowed = self.pool.borrow().await.map_err(fault)?;
        let mut reading = Reading { borrowed, database: self };
        reading.execute(READ).await?;
        Ok(reading)
    }
}

impl Reading<'_> {
    /// The caller bounds the wait; the server gives up by itself.
    pub(super) async fn rows<T>(
        &mut self,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> Result<Vec<T>, Fault>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.database.statements.fetch_add(1, Ordering::Relaxed);
        query.fetch_all(self.borrowed.connection()).await.map_err(fault)
    }

    pub(super) async fn end(mut self) -> Result<(), Fault> {
        self.execute("ROLLBACK").await?;
        self.database.pool.give_back(self.borrowed);
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), Fault> {
        self.database.statements.fetch_add(1, Ordering::Relaxed);
        let done = sqlx::raw_sql(sql).execute(self.borrowed.connection());
        timeout(self.database.timeout, done).await.unwrap_or_else(|_| Err(late())).map_err(fault)?;
        Ok(())
    }
}

/// Reads a database URL without repeating any of it in the error.
pub(super) fn parse_url(url: &str) -> Result<PgConnectOptions, schema::Error> {
    let invalid = |why: Cow<'static, str>| schema::Error::Address(why);
    let parsed = url::Url::parse(url).map_err(|error| invalid(error.to_string().into()))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(invalid("it must begin with postgres://".into()));
    }
    // sqlx would log what it does not know and go on: a misspelt `sslmode` must not mean none, and the value may be
    // a secret.
    if let Some((key, _)) = parsed.query_pairs().find(|(key, _)| !is_parameter(key)) {
        return Err(invalid(format!("parameter {key:?} is not known").into()));
    }
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| invalid("a part of it cannot be read".into()))?
        .disable_statement_logging();
    Ok(options)
}

fn is_parameter(key: &str) -> bool {
    const KNOWN: [&str; 13] = [
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    KNOWN.contains(&key) || key.starts_with("options[")
}

/// The statement was rolled back whole because of another one, so it may be sent again: a deadlock, a serialization
/// failure, or (two registrations of one label) a row that came from nowhere.
fn lost_race(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40P01" | "40001" | "23505"))
}

/// Random, and longer with each try: those that met once should not meet again.
fn jitter(tries: u32) -> Duration {
    let chance = RandomState::new().hash_one(tries);
    Duration::from_millis(1 + chance % (8 << tries))
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// The connection is gone, out of step, or to a server that no longer takes writes: the next one may be better. A
/// statement that was refused or given up leaves it as good as it was.
fn spoils_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code == "25006" || code.starts_with("08") || code.starts_with("57P")),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => false,
        _ => true,
    }
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Read-only: a server that was demoted. Lock: a site's own migration. The classes: connection, lost race,
            // resources, operator's intervention, system.
            matches!(&*code, "25006" | "55P03")
                || matches!(code.get(..2), Some("08" | "40" | "53" | "57" | "58"))
        }),
        _ => false,
    }
}

pub(super) fn fault(error: sqlx::Error) -> Fault {
    if is_unavailable(&error) { Fault::unavailable(WHAT, error) } else { Fault::failed(WHAT, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        parse_url(url).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_address_is_refused_without_its_secrets() {
        for url in [
            "postgres://presence:s3cret@db:port/presence",
            "postgres://presence:s3cret#@db/presence",
            "mysql://presence:s3cret@db/presence",
            "postgres://presence:s3cret@db/presence?sslmode=s3cret",
            "postgres://presence@db/presence?pasword=s3cret",
            "s3cret",
        ] {
            let refusal = refusal(url);
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
        assert!(refusal("postgres://db/p?ssl_mode=verify-full").contains("ssl_mode"));
    }

    #[test]
    fn a_good_address_is_accepted() {
        assert!(
            parse_url(
                "postgres://presence:s3cret@db:5432/presence?sslmode=verify-full&options[search_path]=p"
            )
            .is_ok()
        );
    }

    #[test]
    fn options_do_not_show_the_address() {
        let shown = format!("{:?}", PostgresOptions::new("postgres://presence:s3cret@db"));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
