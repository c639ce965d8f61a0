//! Tells an org's clients, wherever they are.

use crate::{apps::Apps, engine::Engine, ports::notices::Notice};

/// Those here hear it from memory, the others by way of the bus; where that is away, they do not.
pub(super) async fn tell_org(engine: &Engine, apps: &Apps, notice: &Notice) {
    let here = apps.orgs.tell(notice);
    let told = apps.notices.tell(engine.replica_id, notice).await;
    engine.deps.metrics.app_notice(told.is_ok());
    if let Err(fault) = told {
        let error = &fault as &dyn std::error::Error;
        tracing::warn!(error, notice = notice.name(), here, "a notice reached this replica alone");
    }
}
