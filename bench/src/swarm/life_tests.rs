//! Whole agents against servers that a test plays by hand: what they ask, when they come back, and what they write down.

use super::*;
use crate::swarm::{Directory, Plan, Purse, Recorder, Source, Swarm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use presence_api::{
    frames::{ClientFrame, ConnectRequest},
    history::{Entry, Outcome, Side},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf};
use tempfile::TempDir;
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

const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("no {what} in time"))
}

/// A server that a test plays.
struct Server(TcpListener);

/// A socket of an agent, as its server sees it.
struct Guest {
    request: ConnectRequest,
    socket: WebSocketStream<TcpStream>,
}

impl Server {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next agent's socket, with what it asked.
    async fn guest(&self) -> Guest {
        let accepting = async {
            let (tcp, _) = self.0.accept().await.unwrap();
            let mut socket = accept_async(tcp).await.unwrap();
            let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("no request") };
            let ClientFrame::ConnectRequest(request) = serde_json::from_str(&text).unwrap();
            Guest { request, socket }
        };
        within("agent", accepting).await
    }
}

impl Guest {
    async fn say(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn welcome(&mut self, session_id: i64, seq: u64, resumed: bool) {
        self.say(json!({ "type": "connect_success", "payload": {
            "session_id": session_id, "seq": seq, "resumed": resumed, "replica": "r", "agents": [], "agents_total": 1,
        }}))
        .await;
    }

    async fn event(&mut self, seq: u64) {
        let id = json!({ "entity_type": "note", "operation": "added", "sequence_id": 1 });
        self.say(json!({ "id": id, "payload": {}, "seq": seq })).await;
    }

    async fn error(&mut self, kind: &str, reconnect_after_ms: u64) {
        self.say(json!({ "type": "recoverable_session_error", "payload": {
            "type": kind, "title": kind, "status": 422, "reconnect_after_ms": reconnect_after_ms,
        }}))
        .await;
    }

    async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
    }

    /// The agent's good-bye, which the library answers when it is asked for more.
    async fn good_bye(&mut self) {
        let hearing = async {
            let mut code = None;
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(Some(frame)) = message {
                    code = Some(u16::from(frame.code));
                }
            }
            code
        };
        assert_eq!(within("good-bye", hearing).await, Some(1000));
    }

    const fn resume(&self) -> Option<(i64, u64)> {
        match &self.request.resume {
            Some(resume) => Some((resume.session_id, resume.last_seq)),
            None => None,
        }
    }
}

/// One agent on these servers, and its history.
struct Stage {
    swarm: Swarm,
    history: PathBuf,
    _folder: TempDir,
}

impl Stage {
    fn new(servers: &[&Server], change: impl FnOnce(&mut Plan)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        let mut plan = Plan::of("s", 1, 1);
        change(&mut plan);
        let claims = r#"{"sub":"a","aud":"b.c","exp":99999999999}"#;
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let purse = Purse::open(Source::Given(token)).unwrap();
        let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address()).collect();
        let recorder = Recorder::create(&history, 1 << 20).unwrap();
        let world = World::new(plan, Directory::new(&addresses), purse, Some(recorder));
        Self { swarm: Swarm::start(world), history, _folder: folder }
    }

    async fn has_heard(&mut self, events: u64) {
        let hearing = async {
            while self.swarm.world.board().counts.heard < events {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("event", hearing).await;
    }

    /// What the agent wrote, without times.
    fn lines(&self) -> Vec<Act> {
        self.swarm.world.recorder().unwrap().finish().unwrap();
        let text = std::fs::read_to_string(&self.history).unwrap();
        let entries: Vec<Entry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(entries.iter().all(|entry| entry.actor == "s-0" && entry.began <= entry.at));
        assert!(entries.is_sorted_by_key(|entry| entry.at));
        entries.into_iter().map(|entry| entry.act).collect()
    }

    async fn stop(&mut self, guest: &mut Guest) {
        let (left, ()) = tokio::join!(self.swarm.stop(PATIENCE), guest.good_bye());
        assert_eq!(left, 0);
    }
}

fn outcome(act: &Act) -> Option<&Outcome> {
    match act {
        Act::Connect { outcome, .. } => Some(outcome),
        _ => None,
    }
}

#[tokio::test]
async fn told_to_go_it_is_in_elsewhere_before_it_says_good_bye() {
    let (one, other) = (Server::open().await, Server::open().await);
    let mut stage = Stage::new(&[&one, &other], |_| {});
    let mut old = one.guest().await;
    assert_eq!((old.request.agent_label.as_str(), old.request.classroom_id.as_str()), ("s-0", "s-0"));
    old.welcome(7, 10, false).await;
    old.event(11).await;
    old.error("terminated", 0).await;
    let mut new = other.guest().await;
    assert_eq!(new.resume(), Some((7, 11)));
    // Until the new one is in, the old one delivers.
    old.event(12).await;
    new.welcome(7, 12, true).await;
    new.event(12).await;
    old.good_bye().await;
    new.event(13).await;
    stage.has_heard(4).await;
    stage.stop(&mut new).await;
    let lines = stage.lines();
    let heard = |of: u64| {
        let seqs = lines.iter().filter_map(move |act| match act {
            Act::Heard { socket, seq, .. } if *socket == of => Some(*seq),
            _ => None,
        });
        seqs.collect::<Vec<_>>()
    };
    assert_eq!((heard(0), heard(1)), (vec![11, 12], vec![12, 13]));
    for socket in [0, 1] {
        assert!(lines.contains(&Act::Closed { socket, by: Side::Client, code: Some(1000) }), "{lines:?}");
    }
    let counts = stage.swarm.world.board().counts;
    assert_eq!((counts.moved, counts.resumed, counts.lost, counts.broke_before_make), (1, 1, 0, 0));
    assert_eq!((counts.again, counts.disordered), (1, 0));
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_unknown_and_a_refused_one_is_refused() {
    let server = Server::open().await;
    let mut stage = Stage::new(&[&server], |plan| plan.answer_within = Duration::from_secs(3));
    drop(server.guest().await);
    let silent = server.guest().await;
    let mut refusing = server.guest().await;
    refusing.error("overloaded", 1).await;
    refusing.close(4004).await;
    let mut guest = server.guest().await;
    drop(silent);
    assert_eq!(guest.resume(), None);
    guest.welcome(1, 5, false).await;
    assert!(stage.swarm.enter(PATIENCE).await);
    stage.stop(&mut guest).await;
    let lines = stage.lines();
    assert!(
        matches!(
            lines.iter().filter_map(outcome).collect::<Vec<_>>()[..],
            [Outcome::Unknown { .. }, Outcome::Unknown { .. }, Outcome::Refused { reason }, Outcome::Entered { .. }]
                if reason == "overloaded"
        ),
        "{lines:?}"
    );
    assert!(lines.contains(&Act::Closed { socket: 2, by: Side::Server, code: Some(4004) }));
}

#[tokio::test]
async fn a_loss_is_resumed_and_a_resync_is_written_down() {
    let server = Server::open().await;
    let mut stage = Stage::new(&[&server], |_| {});
    let mut guest = server.guest().await;
    guest.welcome(7, 10, false).await;
    guest.event(14).await;
    guest.close(4003).await;
    let mut again = server.guest().await;
    assert_eq!(again.resume(), Some((7, 14)));
    again.welcome(7, 20, false).await;
    again.say(json!({ "type": "resync", "payload": { "seq": 20, "agents": [], "agents_total": 3 } })).await;
    again.say(json!({ "type": "news of a later version", "payload": {} })).await;
    again.event(21).await;
    stage.has_heard(2).await;
    stage.stop(&mut again).await;
    let lines = stage.lines();
    assert!(lines.contains(&Act::Resync { socket: 1, seq: 20, agents_total: 3 }));
    assert!(lines.contains(&Act::Closed { socket: 0, by: Side::Server, code: Some(4003) }));
    let counts = stage.swarm.world.board().counts;
    assert_eq!((counts.lost, counts.not_resumed, counts.resynced, counts.gibberish), (1, 1, 1, 0));
}

#[tokio::test]
async fn whoever_does_not_return_is_gone_once_it_is_lost() {
    let server = Server::open().await;
    let mut stage = Stage::new(&[&server], |plan| {
        plan.mischief.no_return = 1.0;
        plan.diaries = true;
    });
    let mut guest = server.guest().await;
    guest.welcome(7, 10, false).await;
    guest.error("terminated", 0).await;
    guest.close(4001).await;
    let gone = async {
        while stage.swarm.diaries().is_empty() {
            stage.swarm.bury();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("end", gone).await;
    assert_eq!(stage.swarm.diaries()[0].agent_id, "s-0.a.b.c");
    let told = Act::Told { socket: 0, reason: "terminated".into(), reconnect_after_ms: Some(0) };
    assert!(stage.lines().contains(&told));
    assert_eq!(stage.swarm.world.board().done, 1);
}

#[tokio::test]
async fn a_socket_that_is_silent_for_too_long_is_given_up() {
    let server = Server::open().await;
    let mut stage = Stage::new(&[&server], |plan| plan.silence = Duration::from_millis(200));
    let mut guest = server.guest().await;
    guest.welcome(7, 10, false).await;
    let mut again = server.guest().await;
    assert_eq!(again.resume(), Some((7, 10)));
    again.welcome(7, 10, true).await;
    // Whether it comes back once more by then is a matter of time.
    stage.swarm.abandon().await;
    assert!(stage.lines().contains(&Act::Closed { socket: 0, by: Side::Broken, code: None }));
}

#[tokio::test]
async fn dropped_in_the_middle_it_has_vanished() {
    let server = Server::open().await;
    let mut stage = Stage::new(&[&server], |_| {});
    let mut guest = server.guest().await;
    guest.welcome(7, 10, false).await;
    assert!(stage.swarm.enter(PATIENCE).await);
    stage.swarm.abandon().await;
    assert!(stage.lines().contains(&Act::Closed { socket: 0, by: Side::Broken, code: None }));
}
