//! Waiting: for a condition, never for a time; with a deadline, always.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Far beyond what anything here takes on a busy machine; a test that hangs ends by it.
pub const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(10);

/// The work's outcome, or what was waited for in vain.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work).await.with_context(|| format!("waited in vain for {what}"))
}

/// Looks until there is something to see. What was wrong at the last look is in the error.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    eventually_within(PATIENCE, what, look).await
}

/// The same, for what is known to take long.
pub async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(not_yet) if Instant::now() > deadline => {
                return Err(not_yet.context(format!("waited in vain for {what}")));
            }
            Err(_) => tokio::time::sleep(GLANCE).await,
        }
    }
}
