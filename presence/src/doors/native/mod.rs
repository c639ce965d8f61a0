//! The native door: `GET /ws`. It decides who may knock; what follows is the runner's.

mod frames;
mod gate;
pub mod handshake;
mod socket;

pub use gate::Gate;
pub use socket::{Limits, Socket};

use crate::{
    doors::origin::Origins,
    engine::Engine,
    lifecycle::serve::Peer,
    telemetry::metrics::{Metrics, Refusal},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
    response::IntoResponse,
    routing,
};
use std::sync::Arc;

#[derive(Debug)]
pub struct Door {
    pub engine: Arc<Engine>,
    pub gate: Arc<Gate>,
    pub origins: Origins,
    pub limits: Limits,
}

pub fn routes(door: Arc<Door>) -> Router {
    Router::new().route("/ws", routing::get(upgrade)).with_state(door)
}

async fn upgrade(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    let metrics = &door.engine.deps.metrics;
    if door.engine.draining.is_cancelled() {
        return refuse(
            metrics,
            Refusal::Draining,
            StatusCode::SERVICE_UNAVAILABLE,
            "this replica is shutting down",
        );
    }
    if !door.origins.admit(request.headers().get(header::ORIGIN)) {
        return refuse(metrics, Refusal::Origin, StatusCode::FORBIDDEN, "this origin is not on the list");
    }
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let address = door.origins.client_address(peer.0, request.headers());
    let permit = match door.gate.enter(address) {
        Ok(permit) => permit,
        Err(gate::Full::Address) => {
            return refuse(
                metrics,
                Refusal::AddressCap,
                StatusCode::TOO_MANY_REQUESTS,
                "too many from this address",
            );
        }
        Err(gate::Full::Total) => {
            return refuse(metrics, Refusal::TotalCap, StatusCode::SERVICE_UNAVAILABLE, "too many at once");
        }
    };
    let (response, upgrading) = handshake::answer(request, door.limits);
    if let Some(upgrading) = upgrading {
        let tasks = door.engine.tasks.clone();
        tasks.start_to_finish(async move {
            if let Some(socket) = upgrading.await {
                crate::runner::run(door.engine.clone(), socket, &frames::Native, permit).await;
            }
        });
    }
    response
}

fn refuse(metrics: &Metrics, cause: Refusal, status: StatusCode, why: &'static str) -> Response<Body> {
    metrics.refused(cause);
    (status, [(header::RETRY_AFTER, "5")], why).into_response()
}
