//! The terminal client against a real socket, whose other end follows a script.

use super::*;
use crate::{
    cli::{Commands, TokenRequest, args},
    config::{Config, text::Secret},
    ports::session_store::Finding,
};
use futures_util::{SinkExt as _, StreamExt as _};
use presence_core::close::Reason;
use serde_json::{Value, json};
use std::{pin::Pin, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

#[derive(Debug)]
struct NoRoot;

impl Commands for NoRoot {
    fn serve(&self, _: Config) -> Result<(), Failure> {
        unreachable!("a client serves nothing")
    }

    fn migrate(&self, _: Config) -> Result<(), Failure> {
        unreachable!("a client migrates nothing")
    }

    fn verify(&self, _: &Config, _: Duration, _: u32) -> Result<Vec<Finding>, Failure> {
        unreachable!("a client verifies nothing")
    }

    fn mint(&self, _: &Config, _: &TokenRequest) -> Result<Secret, Failure> {
        unreachable!("a token was given")
    }
}

struct Server(TcpListener);

type Peer = WebSocketStream<TcpStream>;

impl Server {
    /// The next client, and its first frame.
    async fn accept(&self) -> (Peer, Value) {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut peer = accept_async(stream).await.unwrap();
        let Some(Ok(Message::Text(first))) = peer.next().await else { panic!("no first frame") };
        (peer, serde_json::from_str(&first).unwrap())
    }
}

async fn say(peer: &mut Peer, frame: Value) {
    peer.send(Message::text(frame.to_string())).await.unwrap();
}

async fn hang_up(peer: &mut Peer, reason: Reason) {
    let frame = CloseFrame { code: CloseCode::from(reason.row().code), reason: "".into() };
    peer.close(Some(frame)).await.unwrap();
}

fn success(seq: u64, resumed: bool) -> Value {
    json!({"type": "connect_success", "payload": {
        "session_id": 7, "seq": seq, "resumed": resumed, "replica": "presence-0",
        "agents": [{"id": 7, "agent_id": "cli.anna.local"}], "agents_total": 1,
    }})
}

fn event(label: &str, seq: u64) -> Value {
    json!({
        "id": {"entity_type": "agent", "operation": label, "sequence_id": 9},
        "payload": {"version": "v1", "entity_type": "agent", "label": label, "agent_id": "web.ben.local"},
        "seq": seq,
    })
}

fn fault(kind: &str, payload: &Value) -> Value {
    json!({"type": kind, "payload": payload})
}

/// Runs the client beside a server's script, until the client ends. What it printed, and how it ended.
fn visit<'a>(script: impl AsyncFnOnce(Server) + 'a) -> Pin<Box<dyn Future<Output = (String, Failure)> + 'a>> {
    Box::pin(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let args = args::Access {
            server: Some(format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()),
            token: Some(Secret::new("good")),
            account: None,
            audience: "local".parse().unwrap(),
        };
        let access = Access::new(&args, &|| unreachable!("no settings are needed"), &NoRoot).unwrap();
        let mut out = Vec::new();
        let mut visit = Visit {
            access: &access,
            known: Known::new(&"math".parse().unwrap(), &"cli".parse().unwrap()),
            leaving: None,
            out: &mut out,
        };
        let both = async { tokio::join!(visit.stay(), script(Server(listener))) };
        let (ended, ()) = timeout(Duration::from_secs(30), both).await.expect("the client ends in time");
        (String::from_utf8(out).unwrap(), ended.unwrap_err())
    })
}

#[tokio::test]
async fn a_terminated_client_moves_and_closes_the_old_socket_last() {
    let (out, ended) = visit(async |server: Server| {
        let (mut first, request) = server.accept().await;
        assert_eq!(request["payload"], json!({"agent_label": "cli", "classroom_id": "math", "token": "good"}));
        say(&mut first, success(40, false)).await;
        say(&mut first, event("entered", 41)).await;
        let move_on = json!({"type": "terminated", "title": "t", "status": 422, "reconnect_after_ms": 5, "reason": "shutdown"});
        say(&mut first, fault("recoverable_session_error", &move_on)).await;
        let (mut second, request) = server.accept().await;
        assert_eq!(request["payload"]["resume"], json!({"session_id": 7, "last_seq": 41}));
        say(&mut second, success(42, true)).await;
        say(&mut second, event("left", 42)).await;
        // The old socket is closed only now, and cleanly.
        let Some(Ok(Message::Close(Some(frame)))) = first.next().await else { panic!("not closed") };
        assert_eq!(frame.code, CloseCode::Normal);
        let replaced = json!({"type": "replaced", "title": "Replaced", "status": 422});
        say(&mut second, fault("unrecoverable_session_error", &replaced)).await;
        hang_up(&mut second, Reason::Replaced).await;
    })
    .await;
    assert_eq!(ended.report(), "replaced");
    assert_eq!(
        out,
        concat!(
            "= connected to presence-0\n  present in math: 1\n  cli.anna.local\n",
            "+ web.ben.local entered\n! asked to move (shutdown)\n",
            "= resumed on presence-0\n- web.ben.local left\n",
        )
    );
}

#[tokio::test]
async fn a_lost_client_comes_back_when_it_is_told_to_and_when_it_is_not() {
    let (out, ended) = visit(async |server: Server| {
        let (mut peer, _) = server.accept().await;
        say(&mut peer, success(1, false)).await;
        let slow = json!({"type": "slow_consumer", "title": "t", "status": 422, "reconnect_after_ms": 1});
        say(&mut peer, fault("recoverable_session_error", &slow)).await;
        hang_up(&mut peer, Reason::SlowConsumer).await;
        let (mut peer, request) = server.accept().await;
        assert_eq!(request["payload"]["resume"]["session_id"], 7);
        say(&mut peer, success(2, false)).await;
        // A connection that breaks without a word.
        drop(peer);
        let (mut peer, _) = server.accept().await;
        let denied =
            json!({"type": "access_denied", "title": "t", "status": 403, "detail": "not \u{1b}yours"});
        say(&mut peer, fault("unrecoverable_session_error", &denied)).await;
        hang_up(&mut peer, Reason::AccessDenied).await;
    })
    .await;
    assert_eq!(ended.report(), "access_denied: not \u{fffd}yours");
    assert!(out.contains("! slow_consumer; again in 1 ms\n"), "{out}");
    assert!(out.contains("! connection lost"), "{out}");
}
