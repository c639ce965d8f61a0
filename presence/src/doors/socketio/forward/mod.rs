//! No sticky sessions: a request for a connection that another replica holds is carried there, and its answer back.
//!
//! Requests of polling are carried whole, both ways bounded; an upgrade becomes a tunnel. Whatever goes wrong, the client
//! hears at once that its session is unknown, and connects anew. What was carried here is carried no further: it comes by
//! the internal port, and is served there by its owner or by nobody.

mod arriving;
mod headers;
mod link;
mod tunnel;
mod whereabouts;

#[cfg(test)]
mod tests;

pub use arriving::internal_routes;

use super::refusal::Refusal;
use crate::{
    config::Config, config::store::StoreUrl, engine::Engine, lifecycle::serve::Peer, telemetry::Forwarded,
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, Response, StatusCode, header, request},
    response::IntoResponse,
};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use link::{Connector, Failure, Pool};
use presence_core::ids::ReplicaId;
use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;
use tunnel::Ends;
use whereabouts::Directory;

/// How much longer than a ping interval an answer is waited for: an owner answers a poll with its ping at the latest.
const MARGIN: Duration = Duration::from_secs(5);
/// The same for a POST: longer than its owner takes to read it and to take what it brought.
const POST_PATIENCE: Duration = Duration::from_secs(45);
/// The head of a request and what its answer holds around the packets.
const AROUND: usize = 64 * 1024;

/// The other replicas, as far as they hold connections whose clients come here.
#[derive(Debug)]
pub struct Siblings {
    engine: Arc<Engine>,
    directory: Directory,
    pool: Pool,
    connector: Connector,
}

/// What came back.
struct Carried {
    how: Forwarded,
    answer: Response<Body>,
}

impl Siblings {
    pub fn new(engine: Arc<Engine>) -> Self {
        advise(&engine.deps.config);
        let connector = Connector::default();
        Self {
            directory: Directory::new(engine.deps.store.clone(), engine.deps.clock.clone()),
            pool: link::pool(connector.clone(), engine.tasks.clone()),
            connector,
            engine,
        }
    }

    /// Has a request answered by the replica that holds its connection. Its client's origin was looked at.
    pub async fn forward(&self, owner: ReplicaId, request: Request) -> Response<Body> {
        let Carried { how, answer } = match self.carry(owner, request).await {
            Ok(carried) => carried,
            Err(how) => Carried { how, answer: unknown_session(how) },
        };
        self.engine.deps.metrics.forward(how);
        self.parting(answer)
    }

    async fn carry(&self, owner: ReplicaId, request: Request) -> Result<Carried, Forwarded> {
        if owner == self.engine.replica_id {
            return Err(Forwarded::Gone);
        }
        // Nobody is let in anywhere without it, so nobody can be asked.
        let secret = self.engine.deps.config.internal.secret.as_ref().ok_or(Forwarded::Refused)?;
        let (mut client, body) = request.into_parts();
        let upgrading =
            client.extensions.remove::<OnUpgrade>().filter(|_| headers::is_upgrade(&client.headers));
        if upgrading.is_some() && self.engine.draining.is_on() {
            return Err(Forwarded::Draining);
        }
        let address = self.directory.address(owner).await.ok_or(Forwarded::Gone)?;
        let outgoing = headers::outgoing(&client, &address, secret, upgrading.is_some()).ok_or_else(|| {
            tracing::warn!(replica = %owner, %address, "no address of an internal API; see replica.address");
            Forwarded::Unreachable
        })?;
        match upgrading {
            Some(upgrading) => self.tunnel(owner, outgoing, (upgrading, client.extensions.remove())).await,
            None if client.method == Method::POST => {
                self.exchange(owner, (outgoing, body), POST_PATIENCE).await
            }
            None => self.exchange(owner, (outgoing, body), self.patience()).await,
        }
    }

    /// A request of polling, and its answer.
    async fn exchange(
        &self,
        owner: ReplicaId,
        (outgoing, body): (request::Builder, Body),
        patience: Duration,
    ) -> Result<Carried, Forwarded> {
        let max_payload = self.engine.deps.config.socketio.max_payload as usize;
        // The owner refuses what is too long, by its own count; this is where reading on would be of no use.
        let body = Body::new(Limited::new(body, max_payload + AROUND));
        let request = outgoing.body(body).map_err(|_| Forwarded::Unreachable)?;
        let whole = async {
            let response = self.pool.request(request).await.map_err(|error| {
                complain(owner, &error);
                if error.is_connect() { Forwarded::Unreachable } else { Forwarded::Unanswered }
            })?;
            self.answered(owner, response).await
        };
        timeout(patience, whole).await.unwrap_or(Err(Forwarded::Unanswered))
    }

    /// An upgrade: a connection of its own, and once the owner has switched, the client's.
    async fn tunnel(
        &self,
        owner: ReplicaId,
        outgoing: request::Builder,
        (upgrading, place): (OnUpgrade, Option<Peer>),
    ) -> Result<Carried, Forwarded> {
        let request = outgoing.body(Body::empty()).map_err(|_| Forwarded::Unreachable)?;
        let asking = async {
            let (response, mut connection) = self.connector.ask(request).await.map_err(|failure| {
                complain(owner, &failure);
                if matches!(failure, Failure::NotReached(_)) {
                    Forwarded::Unreachable
                } else {
                    Forwarded::Unanswered
                }
            })?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let carried = link::through(&mut connection, self.answered(owner, response)).await?;
                return Ok((carried, None));
            }
            if !headers::is_signed(response.headers(), owner) {
                return Err(Forwarded::Refused);
            }
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *answer.headers_mut() = headers::switched(response.headers());
            let owner = hyper::upgrade::on(response);
            Ok((Carried { how: Forwarded::Tunnelled, answer }, Some((owner, connection))))
        };
        let (carried, switched) =
            timeout(self.patience(), asking).await.unwrap_or(Err(Forwarded::Unanswered))?;
        if let Some((owner, connection)) = switched {
            let ends = Ends { client: upgrading, owner, connection };
            self.engine.tasks.start_to_finish(tunnel::run(self.engine.clone(), ends, place));
        }
        Ok(carried)
    }

    /// An answer that is no switch: whole, or not at all.
    async fn answered(&self, owner: ReplicaId, response: Response<Incoming>) -> Result<Carried, Forwarded> {
        if !headers::is_signed(response.headers(), owner) {
            tracing::debug!(replica = %owner, status = response.status().as_u16(), "it is not the owner that answers");
            return Err(Forwarded::Refused);
        }
        let (mut parts, body) = response.into_parts();
        let most = self.engine.deps.config.socketio.max_payload as usize + AROUND;
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            complain(owner, &*error);
            Forwarded::Unanswered
        })?;
        headers::strip(&mut parts.headers);
        parts.extensions.clear();
        let answer = Response::from_parts(parts, Body::from(body.to_bytes()));
        Ok(Carried { how: Forwarded::Answered, answer })
    }

    fn patience(&self) -> Duration {
        self.engine.deps.config.socketio.ping_interval.0 + MARGIN
    }

    /// While this replica lets go, clients are to ask another one next time.
    fn parting(&self, mut answer: Response<Body>) -> Response<Body> {
        if self.engine.draining.is_on() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// No error of hyper's shows what was asked for, which holds a token.
fn complain(owner: ReplicaId, error: &(dyn Error + 'static)) {
    tracing::debug!(error, replica = %owner, "a request could not be carried");
}

/// What makes a client connect anew; a replica that lets go says so instead, and polling goes on elsewhere.
fn unknown_session(why: Forwarded) -> Response<Body> {
    if why == Forwarded::Draining {
        return (StatusCode::SERVICE_UNAVAILABLE, "this replica is shutting down").into_response();
    }
    Refusal::UnknownSid.into_response()
}

/// Says at the start what would keep requests from being carried between replicas.
fn advise(config: &Config) {
    if matches!(config.store_url(), StoreUrl::Sqlite(_)) {
        // A replica alone.
        return;
    }
    let address = &config.replica.address;
    if config.internal.secret.is_none() {
        tracing::warn!("internal.secret is not set: requests of Socket.IO clients reach no other replica");
    } else if address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified()) {
        tracing::warn!(%address, "replica.address is nowhere: no other replica reaches Socket.IO clients here");
    }
}
