//! No sticky sessions: a request for a connection that another replica holds is carried there, and its answer back.
//!
//! Requests of polling are carried whole, both ways bounded; an upgrade becomes a tunnel. Whatever goes wrong, the client
//! hears at once that its session is unknown, and connects anew. What was carried here is carried no further: it comes by
//! the internal port, and is served there by its owner or by nobody.

mod arriving;
mod headers;
mod link;
mod parting;
mod tunnel;
mod whereabouts;

#[cfg(test)]
mod tests;

pub use arriving::internal_routes;

use super::refusal::Refusal;
use crate::{
    config::Config,
    config::store::StoreUrl,
    engine::Engine,
    lifecycle::serve::Peer,
    telemetry::{Counted, Forwarded},
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
use parting::told_to_go;
use presence_core::ids::ReplicaId;
use std::{error::Error, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};
use tunnel::Ends;
use whereabouts::Directory;

/// How much longer than a ping interval an answer is waited for: an owner answers a poll with its ping at the latest.
const MARGIN: Duration = Duration::from_secs(5);
/// The same for a POST: longer than its owner takes to read it and to take what it brought.
const POST_PATIENCE: Duration = Duration::from_secs(45);
/// And for an upgrade, which is answered at once.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(5);
/// What releasing a poll may take, and its answer after that.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The head of a request and what its answer holds around the packets.
const AROUND: usize = 64 * 1024;

/// The other replicas, as far as they hold connections whose clients come here.
#[derive(Debug)]
pub(super) struct Siblings {
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
    pub(super) fn new(engine: Arc<Engine>) -> Self {
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
    pub(super) async fn forward(
        &self,
        owner: ReplicaId,
        request: Request,
    ) -> Result<Response<Body>, Refusal> {
        let (how, answer) = match self.carry(owner, request).await {
            Ok(Carried { how, answer }) => (how, Ok(self.parting(answer))),
            Err(how @ Forwarded::Draining) => {
                (how, Ok((StatusCode::SERVICE_UNAVAILABLE, "this replica is shutting down").into_response()))
            }
            // Its client connects anew.
            Err(how) => (how, Err(Refusal::UnknownSid)),
        };
        self.engine.deps.metrics.forward(how);
        answer
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
        let again = || headers::outgoing(&client, &address, secret, upgrading.is_some());
        let outgoing = again().ok_or_else(|| {
            tracing::warn!(replica = %owner, %address, "no address of an internal API; see replica.address");
            Forwarded::Unreachable
        })?;
        if let Some(upgrading) = upgrading {
            return self.tunnel(owner, outgoing, (upgrading, client.extensions.remove())).await;
        }
        if client.method == Method::GET {
            return self.poll(owner, outgoing, || Some(again()?.header(headers::RELEASE, "1"))).await;
        }
        self.exchange(owner, (outgoing, body), POST_PATIENCE).await
    }

    /// A GET, which may wait for long. When this replica lets go, the owner is asked to answer it now.
    async fn poll(
        &self,
        owner: ReplicaId,
        outgoing: request::Builder,
        release: impl Fn() -> Option<request::Builder>,
    ) -> Result<Carried, Forwarded> {
        let engine = &self.engine;
        let _counted = Counted::new(&engine.deps.metrics.forwarding);
        // A process that ends waits for it.
        let (_waits, over) = oneshot::channel::<()>();
        engine.tasks.start_to_finish(async move { drop(over.await) });
        let patience = engine.deps.config.socketio.ping_interval.0 + MARGIN;
        let mut answer = pin!(self.exchange(owner, (outgoing, Body::empty()), patience));
        tokio::select! {
            biased;
            answered = &mut answer => return answered,
            () = told_to_go(engine) => {}
        }
        if let Some(release) = release() {
            // Whatever comes of it is seen in the answer.
            let _ = self.exchange(owner, (release, Body::empty()), LAST_WORDS).await;
        }
        timeout(LAST_WORDS, answer).await.unwrap_or(Err(Forwarded::Unanswered))
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
            timeout(UPGRADE_PATIENCE, asking).await.unwrap_or(Err(Forwarded::Unanswered))?;
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
