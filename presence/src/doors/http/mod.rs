//! The public HTTP API: who is present, how many, who was; its OpenAPI document; the live page.
//!
//! A handler parses, calls one flow, renders. What every answer has in common (problem documents, headers, spans,
//! limits) is in the layers here. The WebSocket door is merged beside it and passes through none of them.

mod agents;
mod attendance;
pub mod client_address;
pub(super) mod extract;
mod live_page;
mod observe;
mod openapi;
pub mod problem;
#[cfg(test)]
pub(super) mod tests;

pub use openapi::document as openapi;

use crate::{config::public::OriginPolicy, deps::Deps};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{
        HeaderValue, Method,
        header::{
            ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use problem::{Kind, Problem};
use std::{any::Any, sync::Arc, time::Duration};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

/// A thousand ids and their quotes fit.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longer than any port waits: an answer that takes this long helps nobody.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(15);
/// For how long a browser need not ask again whether it may.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

/// The routes of the public port, but for the sockets.
pub fn router(deps: Arc<Deps>) -> Router {
    let live_page = deps.config.has_live_page();
    let cors = cors(&deps.config.origin_policy());
    let metrics = Arc::clone(&deps.metrics);
    let mut router = Router::new()
        .route("/api/v1/classrooms/{classroom_id}/agents", get(agents::list))
        .route("/api/v1/classrooms/{classroom_id}/attendance", get(attendance::get))
        .route("/api/v1/counters/agent", post(agents::count))
        .route("/api/v1/openapi.json", get(openapi::get));
    if live_page {
        router = router.merge(live_page::router());
    }
    let router = router
        .fallback(async || Problem::from(Kind::NotFound))
        .method_not_allowed_fallback(async || Problem::from(Kind::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::map_response(with_common_headers))
        .layer(middleware::from_fn_with_state(metrics, observe::observe));
    match cors {
        Some(cors) => router.layer(cors).with_state(deps),
        None => router.with_state(deps),
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(MAX_ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(Kind::Unavailable).into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("no text"), "a handler panicked");
    Problem::from(Kind::Internal).into_response()
}

async fn with_common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // Who is present changes, and is nobody else's to keep.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Which pages' scripts may read the answers. A page of this very host needs no leave.
fn cors(policy: &OriginPolicy) -> Option<CorsLayer> {
    let origins = match policy {
        OriginPolicy::SameHost => return None,
        OriginPolicy::Any => AllowOrigin::any(),
        OriginPolicy::Listed(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT])
        .expose_headers([LINK, RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    Some(cors)
}
