//! The requests of a client that polls: a GET waits for what is to be sent, a POST brings what the client says.

use super::{
    Door,
    connection::{Connection, reason},
    engine_packet::{Open, decode_body},
    exchange::{Exchange, Posting},
    query::Asked,
    refusal::Refusal,
    sid::EngineId,
};
use crate::{doors::gate::Permit, telemetry::metrics};
use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderValue, Method, Response, header},
    response::IntoResponse as _,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use presence_core::close::Reason;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the body of a POST may take to come. Then the connection is over, as when it breaks off.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a POST waits until its packets are taken: longer than any flow takes. Then the connection is over.
const TAKE_PATIENCE: Duration = Duration::from_secs(30);

/// A new connection that polls.
pub(super) fn open(door: &Arc<Door>, asked: Asked, permit: Permit) -> Response<Body> {
    let Asked { opening, credentials, .. } = asked;
    let id = EngineId::new(door.engine.replica_id);
    let exchange = Exchange::new(credentials, door.limits);
    let Some(entry) = door.registry.enter(id.clone(), exchange) else {
        return door.admission.refuse(metrics::Refusal::PollingCap);
    };
    let connection = Connection::polling(entry, door.limits.trusted);
    door.engine.tasks.start_to_finish((door.begin)(connection, opening, permit));
    answer(open_packet(door, &id, &["websocket"]))
}

/// What is said first, whatever carries it.
pub(super) fn open_packet(door: &Door, id: &EngineId, upgrades: &[&'static str]) -> Bytes {
    let settings = &door.engine.deps.config.socketio;
    let open = Open {
        sid: id.as_str(),
        upgrades,
        ping_interval: presence_core::time::millis(settings.ping_interval.0),
        ping_timeout: presence_core::time::millis(settings.ping_timeout.0),
        max_payload: door.limits.trusted,
    };
    open.encode()
}

/// A request of a connection that polls.
pub(super) async fn serve(
    door: &Door,
    exchange: Arc<Exchange>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let method = request.method().clone();
    match method {
        // It is answered with the next ping at the latest, and when the connection is over.
        Method::GET => exchange.wait()?.answer().await.map(answer),
        Method::POST => {
            post(door, exchange.post()?, request).await?;
            Ok(answer(Bytes::from_static(b"ok")))
        }
        _ => Err(Refusal::BadRequest),
    }
}

async fn post(door: &Door, posting: Posting, request: Request) -> Result<(), Refusal> {
    let body = match timeout(BODY_PATIENCE, read(request, posting.limit())).await {
        Ok(Ok(body)) => body,
        Ok(Err(Refusal::TooLarge)) => {
            posting.fail(Reason::MessageTooBig);
            return Err(Refusal::TooLarge);
        }
        Ok(Err(refusal)) => return Err(refusal),
        Err(_) => return Err(Refusal::BadRequest),
    };
    let most = usize::from(door.engine.deps.config.socketio.max_packets);
    match decode_body(&body, most) {
        Ok(packets) => timeout(TAKE_PATIENCE, posting.deliver(packets)).await.unwrap_or(Err(Refusal::Busy)),
        Err(malformed) => {
            posting.fail(reason(malformed));
            Err(Refusal::BadRequest)
        }
    }
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/octet-stream") {
        // As the third version of the protocol had it; the fourth has texts alone.
        return Err(Refusal::BadRequest);
    }
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    let read = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::TooLarge } else { Refusal::BadRequest }
    })?;
    Ok(read.to_bytes())
}

fn answer(body: Bytes) -> Response<Body> {
    let text = HeaderValue::from_static("text/plain; charset=UTF-8");
    // What was said once is nobody's to keep.
    let unkept = HeaderValue::from_static("no-store");
    ([(header::CONTENT_TYPE, text), (header::CACHE_CONTROL, unkept)], body).into_response()
}
