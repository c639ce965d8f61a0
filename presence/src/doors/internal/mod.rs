//! The internal port, for siblings and operators: ending a session, operating the replica, requests of Socket.IO clients
//! that reached another replica first. Never exposed; every caller shows the shared secret, and where none is configured
//! nobody is let in.

mod admin;
mod openapi;

pub use openapi::document as openapi;

use crate::{
    config::text::Secret,
    doors::http::{
        extract::{Bearer, Body},
        problem::{Kind, Problem},
    },
    engine::Engine,
    flows::evict::{Evicted, evict},
    lifecycle::drain::Drainer,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use presence_api::http::{DeleteFailure, DeleteRequest, DeleteResponse};
use presence_core::ids::SessionKey;
use std::sync::Arc;

/// Two ids and their names.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// `apps`: what other replicas ask for on behalf of Socket.IO clients, where that door is open.
pub fn routes(engine: Arc<Engine>, drainer: Arc<Drainer>, apps: Option<Router>) -> Router {
    let internal = &engine.deps.config.internal;
    let taken: Arc<[Secret]> = internal.secret.iter().chain(&internal.accepted_secret).cloned().collect();
    let replica = Router::new()
        .route("/api/v1/stats", routing::get(admin::stats))
        .route("/api/v1/drain", routing::post(admin::drain))
        .route("/api/v1/undrain", routing::post(admin::undrain))
        .route("/api/v1/shed", routing::post(admin::shed))
        .route("/api/v1/accepting", routing::put(admin::accepting))
        .with_state(drainer);
    Router::new()
        .route("/api/v1/sessions", routing::delete(delete_session))
        .with_state(engine)
        .merge(replica)
        .merge(apps.unwrap_or_default())
        .fallback(async || Problem::from(Kind::NotFound))
        .method_not_allowed_fallback(async || Problem::from(Kind::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(taken, admit))
}

/// Lets a caller pass who shows one of the secrets.
async fn admit(
    State(taken): State<Arc<[Secret]>>,
    shown: Result<Bearer, Problem>,
    request: Request,
    next: Next,
) -> Response {
    if taken.is_empty() {
        let why = "PRESENCE_INTERNAL__SECRET is not set: nobody can use the internal API";
        return Problem::new(Kind::Unauthenticated, why).into_response();
    }
    let is = |shown: &Bearer, secret: &Secret| {
        verify_slices_are_equal(shown.0.as_bytes(), secret.expose().as_bytes()).is_ok()
    };
    match shown {
        Ok(shown) if taken.iter().any(|secret| is(&shown, secret)) => next.run(request).await,
        Ok(_) => Problem::new(Kind::Unauthenticated, "the bearer is not the shared secret").into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// End a session, with or without a socket.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions",
    operation_id = "delete_session",
    tag = "sessions",
    request_body(content = ref("#/components/schemas/DeleteRequest"), description = "Whose, and where",
                 content_type = "application/json"),
    responses(
        (status = 200, description = "It has ended", body = ref("#/components/schemas/DeleteResponse")),
        (status = 404, description = "There is none", body = ref("#/components/schemas/DeleteResponse")),
        (status = 422, description = "Whoever holds it was not reached",
         body = ref("#/components/schemas/DeleteResponse")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
        (status = "5XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
async fn delete_session(
    State(engine): State<Arc<Engine>>,
    Body(request): Body<DeleteRequest>,
) -> Result<Response, Problem> {
    let key = SessionKey {
        agent_id: request
            .session_key
            .agent_id
            .parse()
            .map_err(|error| Problem::invalid(format!("{error}")))?,
        classroom_id: request
            .session_key
            .classroom_id
            .parse()
            .map_err(|error| Problem::invalid(format!("{error}")))?,
    };
    let (status, body) = match evict(&engine, &key).await? {
        Evicted::Gone => (StatusCode::OK, DeleteResponse::DeleteSuccess),
        Evicted::Absent => (StatusCode::NOT_FOUND, DeleteResponse::DeleteFailure(DeleteFailure::NotFound)),
        Evicted::Unreachable => {
            (StatusCode::UNPROCESSABLE_ENTITY, DeleteResponse::DeleteFailure(DeleteFailure::MessagingFailed))
        }
    };
    Ok((status, Json(body)).into_response())
}
