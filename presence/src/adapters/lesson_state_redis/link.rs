//! The connection: one, shared by all, kept for ever. While there is none, whoever needs it is told so at once, and nothing
//! queues up; once there is one, nothing waits longer than `PATIENCE`.
//!
//! The crate's own manager has its callers wait for a reconnect, and keeps a connection to a primary that was one once:
//! so this is ours.

use super::{
    error::{WHAT, does_not_know_the_script, fault, is_of_the_connection},
    steps::Step,
};
use crate::ports::{Fault, clock::Clock};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// For a command and its answer, with the wait for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(1);
/// For a connection: the name, TCP, TLS and the greeting.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A Redis that does not answer is noticed within this and `PATIENCE`, though nobody asks it anything.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Commands that wait to be written. Those that find no room wait for it, as long as they have patience.
const QUEUE: usize = 1024;
/// A connection that lasted this long was a good one: the next is tried for at once.
const GOOD_AFTER_MS: u64 = 5_000;
const LONGEST_BACKOFF_MS: u64 = 2_000;

pub(super) struct Link {
    client: Client,
    probe: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Somebody doubts the connection.
    doubted: Notify,
}

#[derive(Default)]
struct State {
    now: Option<MultiplexedConnection>,
    /// Which connection `now` is: the loss of an older one does not take it away.
    number: u64,
    /// Why there is none.
    trouble: Option<String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(client: Client, probe: String, clock: Arc<dyn Clock>) -> Self {
        Self { client, probe, clock, state: Mutex::default(), doubted: Notify::new() }
    }

    pub(super) fn is_up(&self) -> bool {
        self.lock().now.is_some()
    }

    pub(super) async fn query<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Fault> {
        let (mut connection, number) = self.connection()?;
        let answer = cmd.query_async(&mut connection).await;
        answer.map_err(|error| self.failed(error, number))
    }

    /// A step may be repeated, so it is no matter whether a Redis that forgot the script had been told it by another.
    pub(super) async fn run<T: FromRedisValue>(&self, step: Step<'_>) -> Result<T, Fault> {
        let (mut connection, number) = self.connection()?;
        let mut answer = step.by_hash().query_async(&mut connection).await;
        if answer.as_ref().is_err_and(does_not_know_the_script) {
            answer = step.whole().query_async(&mut connection).await;
        }
        answer.map_err(|error| self.failed(error, number))
    }

    fn connection(&self) -> Result<(MultiplexedConnection, u64), Fault> {
        let state = self.lock();
        if let Some(connection) = &state.now {
            return Ok((connection.clone(), state.number));
        }
        let why = state.trouble.clone().unwrap_or_else(|| "no connection yet".to_owned());
        Err(Fault::unavailable(WHAT, why))
    }

    fn failed(&self, error: RedisError, number: u64) -> Fault {
        if is_of_the_connection(&error) {
            self.lose(number, &error);
        }
        if is_of_the_connection(&error) || error.is_timeout() {
            self.doubted.notify_one();
        }
        fault(error)
    }

    /// Connects, and connects again, for as long as it is polled.
    pub(super) async fn keep(&self) {
        let mut attempt = 0;
        loop {
            tokio::time::sleep(backoff(attempt, self.clock.chance())).await;
            attempt = attempt.saturating_add(1);
            match timeout(CONNECT_WITHIN, self.open()).await {
                Ok(Ok(connection)) => {
                    let since = self.clock.now();
                    self.watch(connection).await;
                    if self.clock.now().since(since) >= GOOD_AFTER_MS {
                        attempt = 0;
                    }
                }
                Ok(Err(error)) => self.complain(error.to_string()),
                Err(_) => self.complain("no connection in time".to_owned()),
            }
        }
    }

    async fn open(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(QUEUE);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        // One that takes no writes is not the one that is meant.
        let probe = redis::cmd("SET").arg(&self.probe).arg(1).arg("PX").arg(1).to_owned();
        probe.query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// Returns once this connection is lost.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        let number = self.enter(connection.clone());
        loop {
            tokio::select! {
                biased;
                () = self.doubted.notified() => {}
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            if !self.has(number) {
                return;
            }
            if let Err(error) = redis::cmd("PING").query_async::<Value>(&mut connection).await {
                return self.lose(number, &error);
            }
        }
    }

    fn enter(&self, connection: MultiplexedConnection) -> u64 {
        let mut state = self.lock();
        state.number += 1;
        state.now = Some(connection);
        state.trouble = None;
        tracing::info!("connected to Redis");
        state.number
    }

    fn has(&self, number: u64) -> bool {
        let state = self.lock();
        state.now.is_some() && state.number == number
    }

    fn lose(&self, number: u64, why: &RedisError) {
        let mut state = self.lock();
        if state.number == number && state.now.take().is_some() {
            drop(state);
            self.complain(why.to_string());
        }
    }

    /// Each new trouble is said once, not with every attempt.
    fn complain(&self, why: String) {
        let mut state = self.lock();
        if state.trouble.as_ref() != Some(&why) {
            tracing::warn!(why, "no connection to Redis; trying for ever");
            state.trouble = Some(why);
        }
    }

    /// Nothing panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grows to two seconds; half of it is chance, so that replicas do not come back as one.
fn backoff(attempt: u32, chance: u64) -> Duration {
    if attempt == 0 {
        return Duration::ZERO;
    }
    let full = (50 << attempt.min(6)).min(LONGEST_BACKOFF_MS);
    Duration::from_millis(full / 2 + chance % (full / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_off_has_an_end() {
        assert_eq!(backoff(0, 7), Duration::ZERO);
        for (attempt, chance) in [(1, 0), (2, u64::MAX), (u32::MAX, u64::MAX)] {
            let wait = u64::try_from(backoff(attempt, chance).as_millis()).unwrap();
            assert!((1..=LONGEST_BACKOFF_MS).contains(&wait), "{wait}");
        }
    }
}
