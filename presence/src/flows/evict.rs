//! `evict`: somebody with the right to it ends a session. The agent's socket is told `replaced`, the classroom `left`.

use super::admission::Error;
use crate::{engine::Engine, hub::Command, ports::session_store::Release};
use presence_core::{ids::SessionKey, session::Held};
use std::time::Duration;

/// How long the socket that is told to go may take, and how often its going is looked for.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// The session has ended.
    Gone,
    /// There was none.
    Absent,
    /// Whoever holds it did not let go in time.
    Unreachable,
}

pub async fn evict(engine: &Engine, key: &SessionKey) -> Result<Evicted, Error> {
    let store = &engine.deps.store;
    let Some(holder) = store.find(key).await? else { return Ok(Evicted::Absent) };
    if let Some(mailbox) = engine.hub.find(key) {
        mailbox.command(Command::Evicted);
        let gone = async {
            loop {
                match store.find(key).await? {
                    Some(now) if now.session_id == holder.session_id => tokio::time::sleep(LOOK_EVERY).await,
                    Some(_) | None => return Ok(Evicted::Gone),
                }
            }
        };
        return tokio::time::timeout(PATIENCE, gone).await.unwrap_or(Ok(Evicted::Unreachable));
    }
    if holder.replica_id != engine.replica_id {
        return Ok(Evicted::Unreachable);
    }
    // No socket here holds it any more: it only waits for its agent.
    let held = Held { session_id: holder.session_id, generation: holder.generation };
    let released = store.release(Release { held, ago: Duration::ZERO }).await?;
    engine.relay.nudge();
    Ok(if released { Evicted::Gone } else { Evicted::Absent })
}
