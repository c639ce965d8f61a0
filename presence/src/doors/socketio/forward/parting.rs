//! When this replica lets go: what it carries for others ends in turn, at the pace of the drain.

use crate::engine::Engine;
use presence_core::{
    drain::{WAVE, window},
    time::Time,
};
use std::time::Duration;
use tokio::time::sleep;

/// Returns when this replica lets go and it is the caller's turn.
pub(super) async fn told_to_go(engine: &Engine) {
    let clock = &engine.deps.clock;
    let mut until = None;
    loop {
        let turn = until.map(|until| clock.chance() % spread(engine, until));
        let waiting = async {
            match turn {
                Some(turn) => sleep(Duration::from_millis(turn)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Called off, it may be, or begun anew.
            changed = engine.draining.until_changes(until) => until = changed,
            () = waiting => return,
        }
    }
}

/// Over how many milliseconds the turns are: at the rate of a drain, and within its window.
fn spread(engine: &Engine, until: Time) -> u64 {
    let metrics = &engine.deps.metrics;
    let carried = u64::try_from(metrics.tunnels.get() + metrics.forwarding.get()).unwrap_or(0);
    let at_the_rate = carried * 1_000 / u64::from(engine.deps.config.session.drain_rate.max(1));
    let most = window(until.since(engine.deps.clock.now()));
    at_the_rate.max(WAVE).min(most).max(1)
}
