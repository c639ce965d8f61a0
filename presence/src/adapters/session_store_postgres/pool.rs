//! The connections to the server: so many at the most, none waited for longer than agreed.
//!
//! Not sqlx's own pool, for that one tries each connection when it is given back: a second round trip for every
//! statement, and without a bound, so that a network that swallows packets would keep every connection in that wait.
//! Here a connection that failed in any way is dropped, and so is one whose borrower was dropped half way.
//!
//! A new connection is used for nothing before the ids are past what a failover may have lost: none is drawn twice.

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// A connection that idled longer may have been cut by something between here and there: it is tried before use.
const FRESH: Duration = Duration::from_secs(5);
/// One that idled longer is no longer needed.
const IDLE: Duration = Duration::from_mins(10);
/// One that is older is replaced, so that a change of address or password is noticed in good time.
const LIFETIME: Duration = Duration::from_mins(30);

/// Moves the ids ahead if the server is on another timeline than when they were drawn last; fails on a standby.
const FOLLOW_FAILOVER: &str = "SELECT presence_follow_failover()";

pub(super) struct Pool {
    options: PgConnectOptions,
    /// One for each connection that may be open and borrowed.
    permits: Semaphore,
    /// The last one used is the next one used, so that those that are not needed grow old.
    idle: Mutex<VecDeque<Open>>,
    acquire_timeout: Duration,
}

struct Open {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
}

/// A connection on loan. Dropped, it is closed: only `Pool::give_back` keeps it.
pub(super) struct Borrowed<'a> {
    open: Open,
    _permit: SemaphorePermit<'a>,
}

impl Borrowed<'_> {
    pub(super) const fn connection(&mut self) -> &mut PgConnection {
        &mut self.open.connection
    }
}

impl Pool {
    pub(super) fn new(options: PgConnectOptions, connections: u32, acquire_timeout: Duration) -> Self {
        Self {
            options,
            permits: Semaphore::new(connections.max(1) as usize),
            idle: Mutex::default(),
            acquire_timeout,
        }
    }

    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, sqlx::Error> {
        timeout(self.acquire_timeout, self.wait()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn wait(&self) -> Result<Borrowed<'_>, sqlx::Error> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let open = match self.reuse().await {
            Some(open) => open,
            None => self.open().await?,
        };
        Ok(Borrowed { open, _permit: permit })
    }

    async fn open(&self) -> Result<Open, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        if let Err(error) = sqlx::raw_sql(FOLLOW_FAILOVER).execute(&mut connection).await
            && !is_of_an_earlier_schema(&error)
        {
            return Err(error);
        }
        let now = Instant::now();
        Ok(Open { connection, opened: now, used: now })
    }

    async fn reuse(&self) -> Option<Open> {
        loop {
            // A statement of its own, for the guard must not live on in the loop's body.
            let open = self.idle().pop_back();
            let mut open = open?;
            if open.opened.elapsed() > LIFETIME {
                continue;
            }
            if open.used.elapsed() <= FRESH || open.connection.ping().await.is_ok() {
                return Some(open);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn give_back(&self, borrowed: Borrowed<'_>) {
        let Borrowed { mut open, _permit } = borrowed;
        open.used = Instant::now();
        let mut idle = self.idle();
        idle.push_back(open);
        while idle.front().is_some_and(|open| open.used.elapsed() > IDLE) {
            idle.pop_front();
        }
    }

    /// A connection was lost: the others are hardly better, and each would cost somebody a failure to find out.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Open>> {
        // Nothing panics while it holds the lock; and if it did, a list of connections is as good as before.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no such function yet. Whoever opens the store refuses the schema by its number, and says what mends it.
fn is_of_an_earlier_schema(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42883"))
}

/// What took too long is like what was never answered.
pub(super) fn late() -> sqlx::Error {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
