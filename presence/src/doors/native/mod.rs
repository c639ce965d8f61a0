//! The native door: `GET /ws`. What follows the handshake is the runner's.

mod frames;

pub use frames::Native;

use super::{
    admission::Admission,
    websocket::{Limits, handshake},
};
use crate::{
    engine::Engine,
    event::Tongue,
    lifecycle::serve::Peer,
    runner::{Terms, run},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
    response::IntoResponse,
    routing,
};
use std::sync::Arc;

#[derive(Debug)]
struct Door {
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    limits: Limits,
}

pub fn routes(engine: Arc<Engine>, admission: Arc<Admission>) -> Router {
    let native = &engine.deps.config.native;
    let limits =
        Limits { untrusted: native.max_message_before_auth as usize, trusted: native.max_message as usize };
    Router::new().route("/ws", routing::get(upgrade)).with_state(Arc::new(Door { engine, admission, limits }))
}

async fn upgrade(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let permit = match door.admission.admit(&peer, request.headers()) {
        Ok(permit) => permit,
        Err(cause) => return door.admission.refuse(cause),
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
