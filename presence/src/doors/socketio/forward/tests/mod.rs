//! What a client sees whose connection another replica holds, over real TCP.

mod stage;

use crate::config::text::Secret;
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use presence_core::ids::ReplicaId;
use stage::{OWNER, PATIENCE, Stage, echoing, hear, hear_the_end, mirror, owner};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[tokio::test]
async fn a_request_is_answered_by_the_owner_who_learns_what_the_client_said_and_no_more() {
    let stage = Stage::new().await;
    stage.owned_by(owner(mirror)).await;
    let head = "POST /socket.io/?EIO=4&sid=x&auth=hunter2 HTTP/1.1\r\nContent-Length: 3\r\nCookie: c=1\r\n\
                Authorization: Bearer own\r\nPresence-Client-Authorization: Bearer forged\r\n\
                Origin: https://app.example\r\nContent-Type: text/plain\r\nX-Forwarded-For: 10.0.0.1";
    let answer = stage.ask(head, "40x").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let host = stage.store.whereabouts(OWNER).await.unwrap().unwrap().address;
    let expected = format!(
        "POST /socket.io/?EIO=4&sid=x&auth=hunter2 [authorization: Sensitive, content-length: \"3\", \
         content-type: \"text/plain\", host: \"{host}\", origin: \"https://app.example\"] b\"40x\""
    );
    assert_eq!(body.replace("\"Bearer own\"", "Sensitive"), expected);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("x-kept: 1"), "{head}");
    for hop in ["x-hop", "keep-alive", "presence-owner"] {
        assert!(!head.contains(hop), "{head}");
    }
    assert_eq!(stage.counted("answered"), 1);
}

#[tokio::test]
async fn a_websocket_is_copied_both_ways_and_ends_with_either_end() {
    let stage = Stage::new().await;
    stage.owned_by(echoing(&stage)).await;
    let mut client = stage.upgrade().await;
    hear(&mut client, b"early").await;
    stage.until_tunnels(1).await;
    let much: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut from, mut to) = client.split();
    let ((), heard) = tokio::join!(async { to.write_all(&much).await.unwrap() }, async {
        let mut heard = vec![0; much.len()];
        timeout(PATIENCE, from.read_exact(&mut heard)).await.unwrap().unwrap();
        heard
    });
    assert!(heard == much);
    drop(client);
    stage.until_tunnels(0).await;
    assert_eq!(stage.counted("tunnelled"), 1);
}

#[tokio::test]
async fn an_owner_that_closes_a_websocket_has_its_last_word() {
    let stage = Stage::new().await;
    let tasks = stage.owner.clone();
    let last_word = move |mut request: axum::extract::Request| {
        let upgrading = request.extensions_mut().remove::<OnUpgrade>().unwrap();
        tasks.start_to_finish(async move {
            let mut tcp = upgrading.await.unwrap().downcast::<TokioIo<TcpStream>>().unwrap().io.into_inner();
            tcp.write_all(b"last").await.unwrap();
        });
        let headers = [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")];
        let accept = [(header::SEC_WEBSOCKET_ACCEPT, "of a2V5")];
        std::future::ready((StatusCode::SWITCHING_PROTOCOLS, headers, accept).into_response())
    };
    stage.owned_by(owner(last_word)).await;
    let mut client = stage.upgrade().await;
    hear(&mut client, b"last").await;
    hear_the_end(&mut client).await;
    drop(client);
    stage.until_tunnels(0).await;
}

#[tokio::test]
async fn an_upgrade_that_the_owner_refuses_is_refused() {
    let stage = Stage::new().await;
    stage.owned_by(owner(async |_| (StatusCode::FORBIDDEN, "code 4").into_response())).await;
    let head = "GET /socket.io/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade";
    let answer = stage.ask(head, "").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("code 4"), "{answer}");
}

#[tokio::test]
async fn a_tunnel_keeps_its_clients_place_and_gives_it_back() {
    let stage = Stage::new().await;
    stage.owned_by(echoing(&stage)).await;
    let mut tunnels = vec![];
    for _ in 0..99 {
        tunnels.push(stage.upgrade().await);
    }
    // The hundredth place is the last: whoever comes then is closed.
    let _last = TcpStream::connect(stage.public).await.unwrap();
    let mut one_too_many = TcpStream::connect(stage.public).await.unwrap();
    hear_the_end(&mut one_too_many).await;
    stage.until_tunnels(99).await;
    drop(tunnels);
    stage.until_tunnels(0).await;
    stage.upgrade().await;
}

#[tokio::test]
async fn an_owner_that_nobody_knows_is_gone() {
    Stage::new().await.assert_unknown("gone").await;
}

#[tokio::test]
async fn an_owner_that_has_retired_is_gone() {
    let stage = Stage::new().await;
    stage.owned_by(owner(mirror)).await;
    stage.store.retire(OWNER).await.unwrap();
    stage.assert_unknown("gone").await;
}

#[tokio::test]
async fn an_owner_that_takes_no_connection_is_unreachable() {
    let stage = Stage::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    stage.reached_at(&nobody.to_string()).await;
    stage.assert_unknown("unreachable").await;
}

#[tokio::test]
async fn an_address_that_is_none_is_unreachable() {
    let stage = Stage::new().await;
    stage.reached_at("no address/at all").await;
    stage.assert_unknown("unreachable").await;
}

#[tokio::test]
async fn an_owner_with_another_secret_refuses() {
    let stage = Stage::with(|config| config.internal.secret = Some(Secret::new("the one of before"))).await;
    stage.owned_by(owner(mirror)).await;
    stage.assert_unknown("refused").await;
}

#[tokio::test]
async fn without_a_secret_nobody_is_asked() {
    let stage = Stage::with(|config| config.internal.secret = None).await;
    stage.owned_by(owner(mirror)).await;
    stage.assert_unknown("refused").await;
}

#[tokio::test]
async fn whoever_else_has_come_to_the_owners_address_is_not_believed() {
    let stage = Stage::new().await;
    let somebody = Router::new().fallback(async || ([("presence-owner", ReplicaId(8).to_string())], "hello"));
    stage.owned_by(somebody).await;
    stage.assert_unknown("refused").await;
}

#[tokio::test]
async fn an_owner_that_dies_over_a_poll_leaves_its_client_unknown_at_once() {
    let stage = Stage::new().await;
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let silent = move |_| {
        let tell = tell.clone();
        async move {
            tell.send(()).await.unwrap();
            std::future::pending().await
        }
    };
    stage.owned_by(owner(silent)).await;
    let dies = async {
        told.recv().await.unwrap();
        stage.owner.stop().await;
    };
    tokio::join!(stage.assert_unknown("unanswered"), dies);
}

#[tokio::test]
async fn an_answer_without_end_is_none() {
    let stage = Stage::new().await;
    let most = stage.engine.deps.config.socketio.max_payload as usize;
    stage.owned_by(owner(move |_| std::future::ready(vec![b' '; 2 * most].into_response()))).await;
    stage.assert_unknown("unanswered").await;
}

#[tokio::test]
async fn a_drain_ends_tunnels_begins_none_and_sends_those_who_poll_elsewhere() {
    let stage = Stage::with(|config| config.session.drain_timeout.0 = Duration::from_millis(300)).await;
    let echoing = echoing(&stage);
    stage.owned_by(echoing).await;
    let mut tunnels = vec![];
    for _ in 0..10 {
        tunnels.push(stage.upgrade().await);
    }
    stage.drain();
    for mut tunnel in tunnels {
        hear(&mut tunnel, b"early").await;
        hear_the_end(&mut tunnel).await;
    }
    // As a process does that ends: nothing of them holds it up.
    timeout(PATIENCE, stage.engine.tasks.finished()).await.unwrap();
    let refused =
        stage.ask("GET /socket.io/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade", "").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert_eq!(stage.counted("draining"), 1);
    let mut keeping = TcpStream::connect(stage.public).await.unwrap();
    keeping.write_all(b"GET /socket.io/?transport=polling HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, keeping.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("connection: close"), "{answer}");
}
