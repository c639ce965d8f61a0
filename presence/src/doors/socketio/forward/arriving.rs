//! The owner's end: requests that reached another replica first come by the internal port, behind its secret.

use super::{
    super::{
        Door, forwarded,
        query::{Asked, Sid},
        refusal::Refusal,
    },
    headers::{PATH, RELEASE, restore, sign},
};
use crate::lifecycle::serve::Peer;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
    response::IntoResponse,
    routing,
};
use presence_core::ids::ReplicaId;
use std::sync::Arc;

/// Places on the internal port that are for operators and for what else replicas ask of each other.
const RESERVED: usize = 64;

/// What the internal port serves for other replicas' clients.
pub fn internal_routes(door: Arc<Door>) -> Router {
    Router::new().route(PATH, routing::any(arrive)).with_state(door)
}

async fn arrive(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    if request.extensions().get::<Peer>().is_some_and(is_crowded) {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, "close")]).into_response();
    }
    let releases = request.headers().contains_key(RELEASE);
    let serve =
        async |request| if releases { released(&door, &request) } else { forwarded(&door, request).await };
    arrived(door.engine.replica_id, request, serve).await
}

/// The replica that a poll came by lets go: the poll is answered now, with nothing, and the client's next one comes by
/// another replica. Nothing is lost by it, as it would be if the poll were cut off.
fn released(door: &Door, request: &Request) -> Response<Body> {
    let asked = match Asked::read(request.uri().query().unwrap_or(""), request.headers()) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let exchange = match &asked.sid {
        Sid::Of(id) => door.registry.find(id).filter(|exchange| exchange.is_of(asked.credentials)),
        Sid::None | Sid::Foreign => None,
    };
    match exchange {
        Some(exchange) => {
            exchange.release();
            StatusCode::NO_CONTENT.into_response()
        }
        None => Refusal::UnknownSid.into_response(),
    }
}

fn is_crowded(peer: &Peer) -> bool {
    peer.place.semaphore().available_permits() < RESERVED
}

/// `serve` answers as for a client of its own, and knows no other replica: nothing is carried twice.
pub(super) async fn arrived(
    me: ReplicaId,
    mut request: Request,
    serve: impl AsyncFnOnce(Request) -> Response<Body>,
) -> Response<Body> {
    restore(request.headers_mut());
    sign(serve(request).await, me)
}
