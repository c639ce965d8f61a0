//! `evict`: somebody with the right to it ends a session, wherever it is held. The agent's socket is told `replaced`,
//! the classroom `left`.

use super::{
    admission::Error,
    let_go::{ask, let_go},
};
use crate::{
    engine::Engine,
    ports::{
        Fault,
        peers::{Answer, Ask, Why},
        session_store::Release,
    },
};
use presence_core::{ids::SessionKey, replace::Holder, session::Held};
use std::time::Duration;

/// How long the socket that is told to go may take, and how often its going is looked for.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A session that is claimed again and again meanwhile is not run after for ever.
const TRIES: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// The session has ended.
    Gone,
    /// There was none.
    Absent,
    /// It moved on each time, and lives.
    Unreachable,
}

pub async fn evict(engine: &Engine, key: &SessionKey) -> Result<Evicted, Error> {
    let Some(mut holder) = engine.deps.store.find(key).await? else { return Ok(Evicted::Absent) };
    for _ in 0..TRIES {
        match end(engine, key, holder).await? {
            Some(moved) => holder = moved,
            None => return Ok(Evicted::Gone),
        }
    }
    Ok(Evicted::Unreachable)
}

/// Ends the session as it is held now. Returns its holder if it moved on and lives.
async fn end(engine: &Engine, key: &SessionKey, holder: Holder) -> Result<Option<Holder>, Fault> {
    let held = holder.held();
    let request = Ask { key: key.clone(), held, why: Why::Evicted };
    let answer = if holder.replica_id == engine.replica_id {
        Some(let_go(engine, &request))
    } else {
        ask(engine, holder.replica_id, &request).await
    };
    if answer == Some(Answer::LetGo) {
        let going = tokio::time::timeout(PATIENCE, gone(engine, key, held)).await;
        if let Ok(left) = going {
            return left;
        }
    }
    // Nobody holds it there, or nobody says so. Whoever does after all finds that it gives up nothing any more.
    if engine.deps.store.release(Release { held, ago: Duration::ZERO }).await? {
        engine.relay.nudge();
        return Ok(None);
    }
    Ok(engine.deps.store.find(key).await?.filter(|now| now.session_id == held.session_id))
}

/// Returns once this claim is over, with who holds the session by then, if it lives.
async fn gone(engine: &Engine, key: &SessionKey, held: Held) -> Result<Option<Holder>, Fault> {
    loop {
        match engine.deps.store.find(key).await? {
            Some(now) if now.held() == held => tokio::time::sleep(LOOK_EVERY).await,
            now => return Ok(now.filter(|now| now.session_id == held.session_id)),
        }
    }
}
