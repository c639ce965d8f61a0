//! `/healthz` (the process and its loop live), `/readyz` (everything has been seen; also when standing by) and `/metrics`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::Instant;

use crate::{caches::Caches, telemetry::Metrics};

/// A loop that has said nothing for this long hangs.
const SILENCE: Duration = Duration::from_mins(1);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// When the loop last said that it lives.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn lives(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < SILENCE
    }
}

#[derive(Clone, Debug)]
pub struct Health {
    pub pulse: Pulse,
    pub caches: Arc<Caches>,
    pub metrics: Arc<Metrics>,
}

pub fn routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn alive(State(health): State<Health>) -> Response {
    if health.pulse.lives() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop has stopped\n").into_response()
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let behind = health.caches.behind();
    if behind.is_empty() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not seen yet: {}\n", behind.join(", "))).into_response()
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    match health.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    use super::*;
    use crate::watches::kinds;

    async fn status(health: &Health, path: &str) -> u16 {
        let request = Request::get(path).body(Body::empty()).unwrap();
        routes(health.clone()).oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_once_all_is_seen_and_healthy_while_the_loop_lives() {
        let health = Health { pulse: Pulse::default(), caches: Arc::default(), metrics: Arc::default() };
        let kind = kinds().remove(0);
        health.caches.expect(&kind, &None);
        assert_eq!(status(&health, "/readyz").await, 503);
        health.caches.seen(&kind, &None);
        assert_eq!(status(&health, "/readyz").await, 200);
        assert_eq!(status(&health, "/metrics").await, 200);
        assert_eq!(status(&health, "/healthz").await, 200);
        tokio::time::advance(SILENCE).await;
        assert_eq!(status(&health, "/healthz").await, 503);
        health.pulse.beat();
        assert_eq!(status(&health, "/healthz").await, 200);
    }
}
