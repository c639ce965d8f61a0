//! The door on a WebSocket: one that a connection begins with, and one that takes over from polling.

use super::{
    Door,
    connection::Connection,
    engine_packet::{PROBED, Packet, decode},
    exchange::{Exchange, Upgraded, Upgrading},
    opening::Opening,
    polling::open_packet,
    refusal::Refusal,
    sid::EngineId,
};
use crate::{
    doors::{
        gate::Permit,
        websocket::{Socket, handshake},
    },
    lifecycle::serve::Peer,
    telemetry::metrics::Upgrade,
    transport::{Incoming, Outgoing, Transport as _},
};
use axum::{
    body::Body,
    extract::Request,
    http::{Response, header},
};
use bytes::Bytes;
use std::{future::poll_fn, sync::Arc};
use tokio::time::timeout;

/// A new connection on a WebSocket of its own.
pub(super) fn open(
    door: &Arc<Door>,
    (opening, permit): (Opening, Permit),
    peer: Peer,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    asks_for_websocket(&request)?;
    let (response, upgrading) = handshake::answer(request, door.limits);
    if let Some(upgrading) = upgrading {
        let at = door.clone();
        // On the heap, and gone with the handshake: what comes after lives much longer.
        let begun = Box::pin(async move {
            let socket = upgrading.await?;
            let open = open_packet(&at, &EngineId::new(at.engine.replica_id), &[]);
            let connection = Connection::websocket(Upgraded { socket, place: peer.place }, open);
            Some((at.begin)(connection, opening, permit))
        });
        door.engine.tasks.start_to_finish(async move {
            let begun = begun.await;
            if let Some(running) = begun {
                running.await;
            }
        });
    }
    Ok(response)
}

/// A WebSocket for a connection that polls.
pub(super) fn probe(
    door: &Arc<Door>,
    exchange: &Arc<Exchange>,
    peer: Peer,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    asks_for_websocket(&request)?;
    let change = exchange.upgrade()?;
    let (response, upgrading) = handshake::answer(request, door.limits);
    if let Some(upgrading) = upgrading {
        let at = door.clone();
        door.engine.tasks.start_to_finish(async move {
            let tried = async {
                let mut socket = upgrading.await?;
                try_out(&mut socket, &change).await?;
                Some(socket)
            };
            let patience = at.engine.deps.config.socketio.upgrade_timeout.0;
            let socket = tokio::select! {
                biased;
                () = change.over() => None,
                tried = timeout(patience, tried) => tried.ok().flatten(),
            };
            let place = peer.place;
            let done = socket.is_some_and(|socket| change.complete(Upgraded { socket, place }));
            at.engine.deps.metrics.upgrade(if done { Upgrade::Done } else { Upgrade::GivenUp });
        });
    }
    Ok(response)
}

/// The rest of RFC 6455's handshake is looked at where it is answered.
fn asks_for_websocket(request: &Request) -> Result<(), Refusal> {
    let asks = request.headers().get(header::UPGRADE);
    let websocket = asks.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket.then_some(()).ok_or(Refusal::BadRequest)
}

/// The client sends a probe, hears that it arrived, stops polling, and says that it has.
async fn try_out(socket: &mut Socket, change: &Upgrading) -> Option<()> {
    expect(socket, Packet::Probe).await?;
    say(socket, PROBED).await?;
    change.probed();
    expect(socket, Packet::Upgrade).await
}

async fn expect(socket: &mut Socket, packet: Packet) -> Option<()> {
    loop {
        match poll_fn(|cx| socket.poll_incoming(cx)).await {
            Incoming::Text(frame) => return (decode(&frame) == Ok(packet)).then_some(()),
            Incoming::Ping | Incoming::Pong => {}
            Incoming::Binary(_) | Incoming::PeerClosed | Incoming::Broken | Incoming::Violation(_) => {
                return None;
            }
        }
    }
}

async fn say(socket: &mut Socket, packet: Bytes) -> Option<()> {
    poll_fn(|cx| socket.poll_ready(cx)).await.ok()?;
    socket.send(Outgoing::Text(packet));
    poll_fn(|cx| socket.poll_flush(cx)).await.ok()
}
