//! Accepts connections and serves HTTP/1.1 on them, within limits that a slow or silent client cannot stretch.

use super::tasks::Tasks;
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

/// How long a client may take to send a request's head, from the connection's opening or the last response on.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Connections that the kernel keeps until they are accepted. A storm that does not fit is tried again by its clients'
/// kernels a whole second later, so it is as long as Linux allows by default.
const BACKLOG: u32 = 4096;
/// After a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection; in the extensions of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// Its place among those that may be open. A socket that outlives the request keeps it.
    pub place: Arc<OwnedSemaphorePermit>,
}

/// How many connections may be open, sockets included, and whom to tell of one too many: it is closed at once.
pub struct Cap {
    pub most: usize,
    pub refused: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Cap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cap").field("most", &self.most).finish_non_exhaustive()
    }
}

/// Serves until the tasks are stopped.
pub async fn serve(listener: TcpListener, routes: Router, tasks: Tasks, cap: Cap) {
    let places = Arc::new(Semaphore::new(cap.most));
    loop {
        match listener.accept().await {
            Ok((tcp, address)) => {
                let Ok(place) = places.clone().try_acquire_owned() else {
                    (cap.refused)();
                    continue;
                };
                let peer = Peer { address, place: Arc::new(place) };
                let routes = routes.clone();
                tasks.start("connection", async move {
                    if let Err(error) = connection(tcp, peer, routes).await {
                        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, peer: Peer, routes: Router) -> Result<(), hyper::Error> {
    // Frames are written whole; waiting for more would only delay them.
    let _ = tcp.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        routes.clone().oneshot(request.map(Body::new))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades()
        .await
}

/// Binds, or says which setting names the address that is taken.
pub fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    listen(address).map_err(|source| BindError { address, setting, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A process that restarts takes its port over from connections that still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; {setting} names another address")]
pub struct BindError {
    address: SocketAddr,
    setting: &'static str,
    source: io::Error,
}
