//! `release`: a session is given up, by id and generation, however long the store takes to hear of it.

use crate::{crash, engine::Engine, ports::session_store::Release};
use presence_core::{session::Held, time::Time};
use std::time::Duration;

/// After this long without a store, the session is left to the reconcile once the store is back.
const PATIENCE: Duration = Duration::from_mins(15);
const FIRST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 5_000;

/// How long a client whose connect failed may wait for its answer, so that its session is given up first.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// Gives up a session that was claimed and never seated. Where the store does not hear of it soon, the row is left to
/// the reconcile: the client, who is to come back, is not kept waiting until the store is there again.
pub async fn release_at_once(engine: &Engine, held: Held) {
    let released = release(engine, held, engine.deps.clock.now());
    if tokio::time::timeout(SHORT_PATIENCE, released).await.is_err() {
        tracing::warn!(
            session.id = held.session_id.0,
            "left a session that was never seated to the reconcile"
        );
    }
}

/// Gives the session up as of `ended`. While the store is away it tries again, at growing and random intervals. Each
/// session that waits is one task without a socket, and keeps its place among the connections that may be open: so
/// there are never more of them than `public.max_connections`, and when they take every place nobody new is let in.
#[tracing::instrument(skip_all, fields(session.id = held.session_id.0))]
pub async fn release(engine: &Engine, held: Held, ended: Time) {
    let clock = &engine.deps.clock;
    let (mut pause, mut tries) = (FIRST_PAUSE, 0_u32);
    crash::point("close.begun");
    loop {
        tries = tries.saturating_add(1);
        let ago = clock.now().since(ended);
        let fault = match engine.deps.store.release(Release { held, ago: Duration::from_millis(ago) }).await {
            Ok(released) => {
                crash::point("close.released");
                // An earlier try may have been done and its answer lost: then `left` waits in the outbox all the same.
                if released || tries > 1 {
                    engine.relay.nudge();
                }
                return;
            }
            Err(fault) => fault,
        };
        if Duration::from_millis(ago) > PATIENCE || engine.tasks.is_stopping() {
            tracing::error!(
                session.id = held.session_id.0,
                error = &fault as &dyn std::error::Error,
                "release session"
            );
            return;
        }
        tracing::debug!(
            session.id = held.session_id.0,
            error = &fault as &dyn std::error::Error,
            "release session"
        );
        tokio::time::sleep(Duration::from_millis(pause / 2 + clock.chance() % pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
