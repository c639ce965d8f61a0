//! Hears what other replicas tell of an org's clients, and tells those who are here.

use crate::engine::Engine;
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};

/// Before notices are listened for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Hears for as long as it is polled.
pub async fn hear(engine: Arc<Engine>) {
    let Some(apps) = &engine.apps else { return std::future::pending().await };
    loop {
        match apps.notices.heard(engine.replica_id).await {
            Ok(mut notices) => {
                while let Some(notice) = notices.next().await {
                    apps.orgs.tell(&notice);
                }
                tracing::debug!("notices are no longer heard; listening again");
            }
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "listen for notices");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
