//! The way to an end: every socket is let go, what is committed is published, and the lease is given back.

use super::{drain::Drainer, lease::Lease};
use crate::{crash, engine::Engine, ports::session_store::Due};
use std::{io, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Beyond the sockets' own deadline: what their last words and releases may take.
const MARGIN: Duration = Duration::from_secs(5);
/// What publishing the last events, and then giving the lease back, may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Returns when the process is asked to end (SIGTERM, SIGINT), or can no longer do its work. A signal that comes later
/// changes nothing: it is heard by nobody.
pub async fn requested(engine: &Engine) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => tracing::info!("SIGTERM: letting go"),
        _ = interrupt.recv() => tracing::info!("SIGINT: letting go"),
        () = engine.tasks.failed() => {}
    }
    Ok(())
}

/// Lets every socket go and ends what runs. Bounded by the drain's time-out and a few seconds.
pub async fn shut_down(engine: &Engine, drainer: &Drainer, lease: &Lease) {
    let until = drainer.end();
    let left = Duration::from_millis(until.since(engine.deps.clock.now()));
    if tokio::time::timeout(left + MARGIN, drainer.drained()).await.is_err() {
        tracing::warn!(
            "some sessions could not be given up in time; their lease ends now, and they are swept"
        );
    }
    let outbox = engine.relay.publish_all(&*engine.deps.store, &*engine.deps.bus, Due::Of(engine.replica_id));
    if !matches!(tokio::time::timeout(LAST_WORDS, outbox).await, Ok(Ok(()))) {
        tracing::warn!("some events are still in the outbox; the next replica publishes them");
    }
    crash::point("drain.published");
    if !matches!(tokio::time::timeout(LAST_WORDS, lease.retire()).await, Ok(Ok(()))) {
        tracing::warn!("the lease could not be given back; it lapses by itself");
    }
    engine.tasks.stop().await;
}
