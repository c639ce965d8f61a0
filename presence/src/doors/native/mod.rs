//! The native door: `GET /ws`. It decides who may knock; what follows is the runner's.

mod frames;
mod gate;
pub mod handshake;
mod socket;

pub use frames::Native;
pub use gate::Gate;
pub use socket::{Limits, Socket};

use crate::{
    config::public::OriginPolicy,
    doors::http::client_address::client_address,
    engine::Engine,
    event::Tongue,
    lifecycle::serve::Peer,
    runner::{Terms, run},
    telemetry::metrics::Refusal,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
    response::IntoResponse,
    routing,
};
use gate::{Full, Permit};
use std::sync::Arc;

#[derive(Debug)]
pub struct Door {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    origins: OriginPolicy,
    limits: Limits,
}

impl Door {
    pub fn new(engine: Arc<Engine>) -> Self {
        let config = &engine.deps.config;
        let native = &config.native;
        Self {
            gate: Gate::new(
                native.max_unauthenticated as usize,
                native.max_unauthenticated_per_address as usize,
            ),
            origins: config.origin_policy(),
            limits: Limits {
                untrusted: native.max_message_before_auth as usize,
                trusted: native.max_message as usize,
            },
            engine,
        }
    }

    /// Whether this request may become a socket, and the place that it waits in until it has shown a token.
    fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Permit, Refusal> {
        if self.engine.draining.is_on() {
            return Err(Refusal::Draining);
        }
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        if !self.origins.allows(text(header::ORIGIN), text(header::HOST)) {
            return Err(Refusal::Origin);
        }
        let address =
            client_address(peer.address.ip(), headers, &self.engine.deps.config.public.trusted_proxies);
        self.gate.enter(address, &self.engine.deps.metrics.unauthenticated).map_err(|full| match full {
            Full::Address => Refusal::AddressCap,
            Full::Total => Refusal::TotalCap,
        })
    }
}

pub fn routes(engine: Arc<Engine>) -> Router {
    Router::new().route("/ws", routing::get(upgrade)).with_state(Arc::new(Door::new(engine)))
}

async fn upgrade(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let permit = match door.admit(&peer, request.headers()) {
        Ok(permit) => permit,
        Err(cause) => {
            door.engine.deps.metrics.refuse(cause);
            return refused(cause);
        }
    };
    let (response, upgrading) = handshake::answer(request, door.limits);
    if let Some(upgrading) = upgrading {
        let engine = door.engine.clone();
        door.engine.tasks.start_to_finish(async move {
            if let Some(socket) = upgrading.await {
                let terms = Terms { rules: engine.rules, tongue: Tongue::Native };
                run(engine, terms, (socket, Native::default()), permit).await;
                drop(peer);
            }
        });
    }
    response
}

fn refused(cause: Refusal) -> Response<Body> {
    let (status, why) = match cause {
        Refusal::Origin => (StatusCode::FORBIDDEN, "this origin is not on the list"),
        Refusal::AddressCap => {
            (StatusCode::TOO_MANY_REQUESTS, "too many sockets without a session from this address")
        }
        Refusal::TotalCap | Refusal::Limit => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many sockets without a session")
        }
        Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "this replica is shutting down"),
    };
    (status, [(header::RETRY_AFTER, "5")], why).into_response()
}
