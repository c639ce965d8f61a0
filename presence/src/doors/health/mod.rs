//! Port 8888: whether the process lives, whether it should get connections, and what it counts. No secrets, no names.

use crate::telemetry::{Metrics, Readiness};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Health {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(Health { readiness, metrics })
}

/// What `/readyz` says. Only `ready` decides; the rest says why.
#[derive(Debug, Serialize)]
struct Readyz {
    ready: bool,
    draining: bool,
    accepting: bool,
    store: &'static str,
    /// Down, it makes nothing unready: events wait in the store.
    bus: &'static str,
    /// Down, only the requests of classroom apps wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    lesson_state: Option<&'static str>,
}

async fn ready(State(health): State<Health>) -> Response {
    let readiness = &health.readiness;
    let word = |up| if up { "up" } else { "down" };
    let body = Readyz {
        ready: readiness.is_ready(),
        draining: readiness.draining(),
        accepting: readiness.accepting(),
        store: word(readiness.store_up()),
        bus: word(readiness.bus_up()),
        lesson_state: readiness.lesson_state_up().map(word),
    };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics_text(State(health): State<Health>) -> Response {
    health.metrics.bus_up.set(health.readiness.bus_up().into());
    match health.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use presence_core::time::UnixMicros;
    use tower::ServiceExt as _;

    async fn get(readiness: &Arc<Readiness>, path: &str) -> (u16, String) {
        let metrics = Arc::new(Metrics::new(UnixMicros(0)));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(Arc::clone(readiness), metrics).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_replica_is_ready_while_its_store_is_up_and_it_neither_drains_nor_steps_back() {
        let readiness = Arc::new(Readiness::default());
        assert_eq!(get(&readiness, "/readyz").await.0, 503);
        readiness.set_store_up(true);
        let (status, body) = get(&readiness, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"ready":true,"draining":false,"accepting":true,"store":"up","bus":"down"}"#)
        );
        readiness.set_lesson_state_up(false);
        let (status, body) = get(&readiness, "/readyz").await;
        assert!(status == 200 && body.contains(r#""lesson_state":"down""#), "{body}");
        readiness.set_accepting(false);
        assert_eq!(get(&readiness, "/readyz").await.0, 503);
        readiness.set_accepting(true);
        readiness.set_draining(true);
        assert_eq!(get(&readiness, "/readyz").await.0, 503);
        assert_eq!(get(&readiness, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_text() {
        let readiness = Arc::new(Readiness::default());
        readiness.set_bus_up(true);
        let (status, body) = get(&readiness, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("\npresence_bus_up 1\n") && body.ends_with("# EOF\n"), "{body}");
    }
}
