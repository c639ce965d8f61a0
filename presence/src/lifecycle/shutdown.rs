//! The way to an end: no new sockets, `terminated` to those there are, time for them to go, then the rest is closed,
//! what is committed is published, and the lease is given back.

use super::lease::Lease;
use crate::{engine::Engine, hub::Command, ports::session_store::Due};
use presence_core::time::millis;
use std::{io, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Beyond the sockets' own deadline: what their last words and releases may take.
const MARGIN: Duration = Duration::from_secs(5);
/// What publishing the last events, and then giving the lease back, may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Returns when the process is asked to end (SIGTERM, SIGINT), or can no longer do its work.
pub async fn requested(engine: &Engine) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: letting go"),
        _ = interrupt.recv() => tracing::info!("SIGINT: letting go"),
        () = engine.tasks.failed() => {}
    }
    Ok(())
}

/// Lets every socket go and ends what runs. Bounded by the drain time-out and a few seconds.
pub async fn shut_down(engine: &Engine, lease: &Lease) {
    engine.draining.cancel();
    // So that whoever comes back elsewhere takes the session over whole.
    if !matches!(
        tokio::time::timeout(LAST_WORDS, lease.replicas.set_draining(lease.replica.id, true)).await,
        Ok(Ok(()))
    ) {
        tracing::warn!(
            "other replicas could not be told; agents that come back there are replaced, not handed over"
        );
    }
    let until = engine.drain_deadline();
    let told = engine.hub.command_all(Command::Drain { until });
    tracing::info!(
        told,
        timeout_ms = millis(engine.deps.config.session.drain_timeout.0),
        "told every agent to connect elsewhere"
    );
    let gone =
        tokio::time::timeout(engine.deps.config.session.drain_timeout.0 + MARGIN, engine.tasks.finished())
            .await;
    if gone.is_err() {
        tracing::warn!(
            "some sessions could not be given up in time; their lease ends now, and they are swept"
        );
    }
    let outbox = engine.relay.publish_all(&*engine.deps.store, &*engine.deps.bus, Due::Of(engine.replica_id));
    if !matches!(tokio::time::timeout(LAST_WORDS, outbox).await, Ok(Ok(()))) {
        tracing::warn!("some events are still in the outbox; the next replica publishes them");
    }
    let retire = lease.replicas.retire(lease.replica.id);
    if !matches!(tokio::time::timeout(LAST_WORDS, retire).await, Ok(Ok(()))) {
        tracing::warn!("the lease could not be given back; it lapses by itself");
    }
    engine.tasks.stop().await;
}
