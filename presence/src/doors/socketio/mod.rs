//! The Socket.IO door: `/socket.io/`. Engine.IO v4 (polling, WebSocket, upgrade) and Socket.IO v5 in front of the same
//! runner, mailbox, timers and drain as the native door. See `docs/adr/0010-socket-io-door.md`.

pub mod assembler;
pub mod connection;
pub mod engine_packet;
mod exchange;
mod forward;
mod opening;
pub mod packet;
mod polling;
mod query;
mod refusal;
mod registry;
mod sid;
mod talk;
#[cfg(test)]
mod tests;
mod upgrade;
mod words;

pub use connection::Connection;
pub use forward::internal_routes;
pub use opening::Opening;
pub use sid::{EngineId, recovery_id, socket_id};
pub use talk::Talk;

use super::{admission::Admission, gate::Permit, websocket::Limits};
use crate::{
    config::public::OriginPolicy, engine::Engine, event::Tongue, lifecycle::serve::Peer, runner::Terms,
    runner::run, telemetry::metrics,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, Method, Response,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER},
        request::Parts,
    },
    response::IntoResponse,
    routing,
};
use forward::Siblings;
use futures_util::future::BoxFuture;
use presence_core::{session::Rules, time::millis};
use query::{Asked, Sid, Way};
use refusal::Refusal;
use registry::Registry;
use std::{fmt, sync::Arc, time::Duration};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// For how long a browser need not ask again whether it may.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

/// The whole life of a connection.
pub type Begin = dyn Fn(Connection, Opening, Permit) -> BoxFuture<'static, ()> + Send + Sync;

pub struct Door {
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    registry: Arc<Registry>,
    siblings: Siblings,
    limits: Limits,
    begin: Box<Begin>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Door {
    /// `begin` is what is done with each new connection.
    pub fn new(engine: Arc<Engine>, admission: Arc<Admission>, begin: Box<Begin>) -> Arc<Self> {
        let settings = &engine.deps.config.socketio;
        let limits = Limits {
            untrusted: settings.max_payload_before_auth as usize,
            trusted: settings.max_payload as usize,
        };
        for refusal in Refusal::ALL {
            engine.deps.metrics.app_refused(refusal.as_str(), 0);
        }
        let registry = Registry::new(settings.max_polling as usize, engine.deps.metrics.polling.clone());
        let siblings = Siblings::new(engine.clone());
        Arc::new(Self { engine, admission, registry, siblings, limits, begin })
    }

    /// A request from outside.
    async fn serve(self: &Arc<Self>, request: Request) -> Result<Response<Body>, Refusal> {
        if !self.admission.allows_origin(request.headers()) {
            return Ok(self.admission.refuse(metrics::Refusal::Origin));
        }
        let asked = Asked::read(request.uri().query().unwrap_or(""), request.headers())?;
        match &asked.sid {
            Sid::None => self.open(asked, request),
            Sid::Of(id) if id.owner() == self.engine.replica_id => {
                let id = id.clone();
                self.continued(&asked, &id, request).await
            }
            Sid::Of(id) => self.siblings.forward(id.owner(), request).await,
            Sid::Foreign => Err(Refusal::UnknownSid),
        }
    }

    fn open(self: &Arc<Self>, asked: Asked, request: Request) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::BadHandshakeMethod);
        }
        let peer = peer(&request)?;
        let permit = match self.admission.admit(&peer, request.headers()) {
            Ok(permit) => permit,
            Err(cause) => return Ok(self.admission.refuse(cause)),
        };
        match asked.way {
            Way::Polling => Ok(polling::open(self, asked, permit)),
            Way::WebSocket => upgrade::open(self, (asked.opening, permit), peer, request),
        }
    }

    /// A request of a connection of this replica.
    async fn continued(
        self: &Arc<Self>,
        asked: &Asked,
        id: &EngineId,
        request: Request,
    ) -> Result<Response<Body>, Refusal> {
        let exchange = self.registry.find(id).ok_or(Refusal::UnknownSid)?;
        if !exchange.is_of(asked.credentials) {
            return Err(Refusal::Forbidden);
        }
        match asked.way {
            Way::Polling => polling::serve(self, exchange, request).await,
            Way::WebSocket => upgrade::probe(self, &exchange, peer(&request)?, request),
        }
    }

    fn answered(&self, served: Result<Response<Body>, Refusal>) -> Response<Body> {
        served.unwrap_or_else(|refusal| {
            self.engine.deps.metrics.app_refused(refusal.as_str(), 1);
            refusal.into_response()
        })
    }
}

/// A request that another replica passes on: its origin was looked at there, and its connection is one of this replica.
pub async fn forwarded(door: &Arc<Door>, request: Request) -> Response<Body> {
    let served = async {
        let asked = Asked::read(request.uri().query().unwrap_or(""), request.headers())?;
        match &asked.sid {
            Sid::Of(id) if id.owner() == door.engine.replica_id => {
                let id = id.clone();
                door.continued(&asked, &id, request).await
            }
            _ => Err(Refusal::UnknownSid),
        }
    };
    door.answered(served.await)
}

fn peer(request: &Request) -> Result<Peer, Refusal> {
    request.extensions().get::<Peer>().cloned().ok_or(Refusal::BadRequest)
}

pub fn routes(door: Arc<Door>) -> Router {
    let cors = cors(door.engine.deps.config.origin_policy());
    Router::new()
        .route("/socket.io", routing::any(serve))
        .route("/socket.io/", routing::any(serve))
        .layer(cors)
        .with_state(door)
}

async fn serve(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    let served = door.serve(request).await;
    door.answered(served)
}

/// Which pages' scripts may read the answers to polls: those that may connect. Some send cookies along, if only for the
/// balancer in front.
fn cors(policy: OriginPolicy) -> CorsLayer {
    let allows = move |origin: &HeaderValue, request: &Parts| {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        origin.to_str().is_ok_and(|origin| policy.allows(Some(origin), host))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT])
        .expose_headers([RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

/// Connections that talk Socket.IO.
pub fn talking(engine: &Arc<Engine>) -> Box<Begin> {
    let (engine, terms) = (engine.clone(), terms(engine));
    Box::new(move |connection, opening, permit| {
        Box::pin(run(engine.clone(), terms, (connection, Talk::new(opening)), permit))
    })
}

/// What sockets of this door live by.
pub fn terms(engine: &Engine) -> Terms {
    let config = &engine.deps.config;
    let settings = &config.socketio;
    let rules = Rules {
        auth_timeout: millis(settings.connect_timeout.0),
        ping_interval: millis(settings.ping_interval.0),
        pong_timeout: millis(settings.ping_timeout.0),
        leave_grace: millis(config.session.leave_grace.0),
        frames_per_second: config.native.frames_per_second,
        frames_burst: config.native.frames_burst,
        // Its clients know nothing of a replica that lets go.
        follows: false,
    };
    Terms { rules, tongue: Tongue::SocketIo }
}
