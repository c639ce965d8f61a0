//! Who may knock at the doors that have sockets: by origin, while this replica takes any, and only so many at a time
//! that have not shown a token. One for all of those doors, so that no door is a way around another one's limits.

use super::{
    gate::{Full, Gate, Permit},
    http::client_address::client_address,
};
use crate::{
    config::public::OriginPolicy, engine::Engine, lifecycle::serve::Peer, telemetry::metrics::Refusal,
};
use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
    response::IntoResponse,
};
use std::sync::Arc;

#[derive(Debug)]
pub struct Admission {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    origins: OriginPolicy,
}

impl Admission {
    pub fn new(engine: Arc<Engine>) -> Self {
        let config = &engine.deps.config;
        let native = &config.native;
        Self {
            gate: Gate::new(
                native.max_unauthenticated as usize,
                native.max_unauthenticated_per_address as usize,
            ),
            origins: config.origin_policy(),
            engine,
        }
    }

    /// Whether this request may become a socket, and the place that it waits in until it has shown a token.
    pub fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Permit, Refusal> {
        if self.engine.draining.is_on() {
            return Err(Refusal::Draining);
        }
        if !self.allows_origin(headers) {
            return Err(Refusal::Origin);
        }
        let address =
            client_address(peer.address.ip(), headers, &self.engine.deps.config.public.trusted_proxies);
        self.gate.enter(address, &self.engine.deps.metrics.unauthenticated).map_err(|full| match full {
            Full::Address => Refusal::AddressCap,
            Full::Total => Refusal::TotalCap,
        })
    }

    /// Whether the page that sends this, if it is one, may.
    pub fn allows_origin(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        self.origins.allows(text(header::ORIGIN), text(header::HOST))
    }

    /// Counts a refusal, and words it.
    pub fn refuse(&self, cause: Refusal) -> Response<Body> {
        self.engine.deps.metrics.refuse(cause);
        let (status, why) = match cause {
            Refusal::Origin => (StatusCode::FORBIDDEN, "this origin is not on the list"),
            Refusal::AddressCap => {
                (StatusCode::TOO_MANY_REQUESTS, "too many sockets without a session from this address")
            }
            Refusal::TotalCap | Refusal::Limit => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many sockets without a session")
            }
            Refusal::PollingCap => (StatusCode::SERVICE_UNAVAILABLE, "too many clients that poll"),
            Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "this replica is shutting down"),
        };
        (status, [(header::RETRY_AFTER, "5")], why).into_response()
    }
}
