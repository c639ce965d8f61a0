//! What the tests of the bus stand on: a clock, a NATS server of one's own, a wire that can be cut, and patience.

use async_nats::jetstream;
use futures_util::StreamExt;
use presence::{
    adapters::bus_nats::{NatsBus, Options, Servers},
    ports::{
        bus::{Arrival, Bus, Outgoing, Subscription},
        clock::Clock,
    },
};
use presence_api::event::Operation;
use presence_core::{
    ids::{ClassroomId, SessionId, SessionKey},
    time::{Time, UnixMicros},
};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::timeout};

/// Longer than anything may take; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time(0)
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(jiff::Timestamp::now().as_microsecond())
    }

    fn chance(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock::default())
}

pub(crate) fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set; `cargo xtask test` starts what the tests need, and sets it")
    })
}

/// A classroom that no other test has.
pub(crate) fn classroom() -> ClassroomId {
    uuid::Uuid::new_v4().to_string().parse().unwrap()
}

pub(crate) fn outgoing(classroom: &ClassroomId, session_id: i64, operation: Operation) -> Outgoing {
    Outgoing {
        operation,
        session_id: SessionId(session_id),
        key: SessionKey {
            agent_id: format!("web.agent-{session_id}.school.example").parse().unwrap(),
            classroom_id: classroom.clone(),
        },
    }
}

/// Session ids are unique in a database; here, over all tests that share a server.
pub(crate) fn session_ids() -> impl Iterator<Item = i64> {
    let first = uuid::Uuid::new_v4().as_u128() >> 80;
    i64::try_from(first).unwrap() * 10_000..
}

pub(crate) fn entered(classroom: &ClassroomId, session_id: i64) -> Outgoing {
    outgoing(classroom, session_id, Operation::Entered)
}

pub(crate) async fn next(subscription: &mut Subscription) -> Arrival {
    let next = timeout(PATIENCE, subscription.arrivals.next()).await;
    next.expect("an arrival in time").expect("a bus that goes on")
}

/// Positions of the next `count` events; a gap fails.
pub(crate) async fn positions(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut positions = vec![];
    for _ in 0..count {
        match next(subscription).await {
            Arrival::Event(event) => positions.push(event.seq),
            Arrival::Gap { position } => panic!("a gap at {position} after {}", positions.len()),
        }
    }
    positions
}

/// Nothing more comes in the time that a check and a reconnect would take.
pub(crate) async fn quiet(subscription: &mut Subscription) {
    let more = timeout(Duration::from_millis(700), subscription.arrivals.next()).await;
    assert!(more.is_err(), "nothing more was expected: {more:?}");
}

/// Publishes as the outbox does: again and again, until it is acknowledged.
pub(crate) async fn publish_surely(bus: &dyn Bus, event: &Outgoing) -> u64 {
    let trying = async {
        loop {
            match bus.publish(event).await {
                Ok(position) => return position,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("an ack in time")
}

pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// A server of the test's own, on a port that it keeps over restarts.
pub(crate) struct NatsServer {
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    child: Option<Child>,
}

impl NatsServer {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    pub(crate) async fn start_with(config: &str) -> Self {
        let mut server = Self::stopped(config);
        server.restart().await;
        server
    }

    /// Its port is known; nobody listens on it yet.
    pub(crate) fn stopped(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let store = dir.path().join("store").display().to_string();
        let base = format!("host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: {store:?} }}\n");
        std::fs::write(dir.path().join("nats.conf"), base + config).unwrap();
        Self { port, dir, child: None }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(environment("PRESENCE_TEST_NATS_SERVER"));
        command.arg("-c").arg(self.dir.path().join("nats.conf"));
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("a nats-server that starts"));
        let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let ready = async || log().contains("Server is ready");
        eventually("the NATS server starts", ready).await;
    }

    /// As an operator stops it: what was acknowledged is on disk.
    pub(crate) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        let child = std::cell::RefCell::new(&mut child);
        eventually("the NATS server stops", async || child.borrow_mut().try_wait().unwrap().is_some()).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn bus(&self) -> NatsBus {
        connected(options(&self.url())).await
    }

    pub(crate) async fn client(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn options(url: &str) -> Options {
    Options {
        servers: Servers(vec![url.to_owned()]),
        check_every: Duration::from_millis(300),
        ..Options::default()
    }
}

pub(crate) async fn bus(options: Options) -> NatsBus {
    NatsBus::connect(options, clock()).await.unwrap()
}

/// Connected, and the stream is there.
pub(crate) async fn connected(options: Options) -> NatsBus {
    let bus = bus(options).await;
    let is_ready = async || bus.subscribe(&classroom()).await.unwrap().position > 0;
    eventually("the bus is ready", is_ready).await;
    bus
}

/// A wire to a port that can be cut and mended.
pub(crate) struct Wire {
    pub(crate) port: u16,
    whole: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap().port();
        let whole = watch::Sender::new(true);
        let watched = whole.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let mut whole = watched.clone();
                if *whole.borrow_and_update() {
                    streams.spawn(async move {
                        tokio::select! {
                            _ = whole.changed() => {}
                            () = carry(near, port) => {}
                        }
                    });
                }
            }
        });
        Self { port: near, whole, _tasks: tasks }
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

async fn carry(mut near: TcpStream, port: u16) {
    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
        tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
    }
}

/// A server's configuration that knows one operator, account and user; and that user's credentials file.
pub(crate) fn credentials() -> (String, String) {
    use nkeys::KeyPair;
    let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
    let account = KeyPair::new_account();
    // Not a random one: the reader of nkeys 0.3, which siblings carry, refuses one seed in 65,536.
    let user = KeyPair::new_from_raw(nkeys::KeyPairType::User, [7; 32]).unwrap();
    let unlimited = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let claims =
        |kind: &str| serde_json::json!({ "type": kind, "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let limited = |limits| serde_json::json!({ "type": "account", "version": 2, "limits": limits });
    let operator_token = signed(&operator, &operator, &claims("operator"));
    let mut plain = unlimited.clone();
    for storage in ["mem_storage", "disk_storage", "streams", "consumer"] {
        plain[storage] = 0.into();
    }
    let system_token = signed(&operator, &system, &limited(plain));
    let account_token = signed(&operator, &account, &limited(unlimited));
    let user_token = signed(&account, &user, &claims("user"));
    let config = format!(
        "operator: {operator_token}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{ {}: {system_token}, {}: {account_token} }}\n",
        system.public_key(),
        system.public_key(),
        account.public_key(),
    );
    let seed = user.seed().unwrap();
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    (config, creds)
}

fn signed(by: &nkeys::KeyPair, about: &nkeys::KeyPair, nats: &serde_json::Value) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    let head = BASE64.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = serde_json::json!({
        "jti": about.public_key(), "iat": 1_700_000_000, "iss": by.public_key(), "name": "test",
        "sub": about.public_key(), "nats": nats,
    });
    let text = format!("{head}.{}", BASE64.encode(claims.to_string()));
    let signature = by.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64.encode(signature))
}
