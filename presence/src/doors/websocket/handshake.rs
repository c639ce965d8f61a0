//! From an HTTP request to a WebSocket: RFC 6455 section 4, and the connection underneath taken over.

use super::{Limits, Socket};
use axum::{
    body::Body,
    extract::Request,
    http::{Response, StatusCode, header},
    response::IntoResponse,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

/// The response to send, and the socket that there is once it has been sent; none where the request asks for none.
pub fn answer(
    request: Request,
    limits: Limits,
) -> (Response<Body>, Option<impl Future<Output = Option<Socket>> + Send>) {
    let (mut parts, _) = request.into_parts();
    let upgrading = parts.extensions.remove::<OnUpgrade>();
    let response = create_response(&hyper::Request::from_parts(parts, ()));
    let (Ok(response), Some(upgrading)) = (response, upgrading) else {
        let websocket = [(header::UPGRADE, "websocket")];
        let refused = (StatusCode::UPGRADE_REQUIRED, websocket, "this is a WebSocket, version 13");
        return (refused.into_response(), None);
    };
    let socket = async move { upgrading.await.ok().and_then(|upgraded| connection(upgraded, limits)) };
    (response.map(|()| Body::empty()), Some(socket))
}

/// The connection under an upgrade, with what was read of it too early.
fn connection(upgraded: Upgraded, limits: Limits) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    // A copy: the bytes themselves would keep hyper's whole read buffer for as long as the socket lives.
    Some(Socket::new(parts.io.into_inner(), parts.read_buf.to_vec(), limits))
}
