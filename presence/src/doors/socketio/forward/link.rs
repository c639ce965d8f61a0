//! Connections to other replicas: pooled ones for requests, and one of its own for each tunnel.
//!
//! Each belongs to one request at a time, so there are never more than clients' connections and the few that idle.

use crate::lifecycle::tasks::Tasks;
use axum::{
    body::Body,
    http::{Request, Response, Uri, header},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Fuse},
};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioIo, TokioTimer},
};
use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tower::Service;

/// How long connecting may take, the resolution of a name included.
const CONNECT_PATIENCE: Duration = Duration::from_millis(300);
/// Shorter than what the other end waits for the next request (`lifecycle::serve`): a connection is not used just as
/// it is closed.
const IDLE: Duration = Duration::from_secs(3);
/// Connections that idle for each replica, at most: another one is closed. The places at the other end are few.
const MOST_IDLE: usize = 16;
/// A machine that is gone without a word is noticed by the time these have passed.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

pub(super) type Pool = Client<Connector, Body>;

/// A connection of a tunnel, while it is still HTTP. It moves the bytes, as long as it is polled.
pub(super) type Connection = Fuse<BoxFuture<'static, hyper::Result<()>>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("not reached")]
    NotReached(#[source] io::Error),
    #[error("broken off")]
    Broken(#[source] hyper::Error),
}

/// The pool of this replica.
pub(super) fn pool(connector: Connector, tasks: Tasks) -> Pool {
    Client::builder(Starter(tasks))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// What runs pooled connections.
#[derive(Clone)]
struct Starter(Tasks);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Starter {
    fn execute(&self, work: F) {
        self.0.start("to another replica", work);
    }
}

/// Connects to a replica's internal port.
#[derive(Debug, Clone)]
pub(super) struct Connector(HttpConnector);

impl Default for Connector {
    fn default() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_AFTER));
        tcp.set_keepalive_interval(Some(PROBE_EVERY));
        tcp.set_keepalive_retries(Some(PROBES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self(tcp)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match timeout(CONNECT_PATIENCE, connecting).await {
                Ok(connected) => connected.map_err(io::Error::other),
                Err(late) => Err(late.into()),
            }
        })
    }
}

impl Connector {
    /// The head of the answer to a request, and the connection that it came by.
    pub(super) async fn ask(
        &self,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let (mut connector, uri) = (self.clone(), request.uri().clone());
        let connected = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(uri).await
        };
        let tcp = connected.await.map_err(Failure::NotReached)?;
        let (mut sender, connection) = http1::handshake(tcp).await.map_err(Failure::Broken)?;
        let mut connection = connection.with_upgrades().boxed().fuse();
        let answer = sender.send_request(in_origin_form(request));
        let answer = through(&mut connection, answer).await.map_err(Failure::Broken)?;
        Ok((answer, connection))
    }
}

/// Does what needs a connection that moves.
pub(super) async fn through<T>(connection: &mut Connection, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // Its end, good or bad, is the work's.
        let _ = connection.poll_unpin(cx);
        work.as_mut().poll(cx)
    })
    .await
}

/// A request names its host in a header, and nothing but path and query in its first line. A pool does that itself.
fn in_origin_form(mut request: Request<Body>) -> Request<Body> {
    let host = request.uri().authority().and_then(|host| host.as_str().parse().ok());
    let path = request.uri().path_and_query().cloned();
    if let (Some(host), Some(path)) = (host, path) {
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = path.into();
    }
    request
}
