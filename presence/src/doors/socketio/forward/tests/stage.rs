//! Two replicas on loopback: one that clients reach, and one that holds their connections and does as a test says.

use super::super::{Siblings, arriving::arrived};
use crate::{
    adapters::{
        authn_jwt::{EmbeddedKey, JwtAuthn, TokenCacheOptions},
        authz_allow::AllowAuthz,
        bus_in_process::{self, InProcessBus},
        clock_system::SystemClock,
        crypto::install_crypto_provider,
        peers_alone::NoPeers,
        session_store_sqlite::{SqliteOptions, SqliteStore},
    },
    app,
    config::{Config, text::Secret},
    deps::Deps,
    engine::Engine,
    lifecycle::{
        drain::Drainer,
        serve::{Cap, bind, serve},
        tasks::Tasks,
    },
    ports::{
        clock::Clock,
        session_store::{Replica, Store},
    },
    telemetry::{Metrics, Readiness},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, StatusCode, header},
    response::IntoResponse,
    routing::any,
};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use presence_core::ids::ReplicaId;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(super) const OWNER: ReplicaId = ReplicaId(7);
pub(super) const SECRET: &str = "shared-by-all-replicas";
const HOUR: Duration = Duration::from_hours(1);
/// Far longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// The replica that clients reach.
pub(super) struct Stage {
    pub(super) engine: Arc<Engine>,
    pub(super) store: Arc<dyn Store>,
    pub(super) public: SocketAddr,
    /// What runs for the owner.
    pub(super) owner: Tasks,
    _folder: TempDir,
}

impl Stage {
    /// Clients reach a replica that is configured like this; nobody holds anything yet.
    pub(super) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().into(), ..Config::default() };
        config.internal.secret = Some(Secret::new(SECRET));
        configure(&mut config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let options = SqliteOptions::new(folder.path().join("presence.db"));
        let (store, run) = SqliteStore::open(&options).await.unwrap();
        let key = EmbeddedKey::load_or_create(folder.path()).unwrap();
        let tasks = Tasks::default();
        tasks.start("store", run);
        let deps = Arc::new(Deps {
            store: store.clone(),
            bus: Arc::new(InProcessBus::new(bus_in_process::Options::default(), &*clock)),
            peers: Arc::new(NoPeers),
            authn: Arc::new(JwtAuthn::embedded(&key, TokenCacheOptions::default(), clock.clone())),
            authz: Arc::new(AllowAuthz),
            metrics: Arc::new(Metrics::new(clock.wall())),
            clock,
            config: Arc::new(config),
        });
        let engine = Arc::new(app::engine(deps, tasks.clone()));
        let siblings = Arc::new(Siblings::new(engine.clone()));
        let forward = move |request: Request| {
            let siblings = siblings.clone();
            async move { siblings.forward(OWNER, request).await.into_response() }
        };
        let routes = Router::new().fallback(forward);
        let public = open(&tasks, routes);
        Self { engine, store, public, owner: Tasks::default(), _folder: folder }
    }

    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The owner is there, and answers like this.
    pub(super) async fn owned_by(&self, routes: Router) {
        let internal = open(&self.owner, routes);
        self.reached_at(&internal.to_string()).await;
    }

    pub(super) async fn reached_at(&self, address: &str) {
        let owner = Replica { id: OWNER, label: "owner".into(), address: address.into() };
        self.store.register(&owner, HOUR).await.unwrap();
    }

    /// What comes back for a request of these lines, to the end of the connection.
    pub(super) async fn ask(&self, head: &str, body: &str) -> String {
        let mut tcp = TcpStream::connect(self.public).await.unwrap();
        tcp.write_all(format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n{body}").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, tcp.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    async fn poll(&self) -> String {
        self.ask("GET /socket.io/?transport=polling&auth=hunter2 HTTP/1.1", "").await
    }

    /// The client is told that its session is unknown, and this is counted.
    pub(super) async fn assert_unknown(&self, outcome: &str) {
        let answer = self.poll().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with(UNKNOWN), "{answer}");
        assert_eq!(self.counted(outcome), 1, "{outcome}");
    }

    pub(super) fn counted(&self, outcome: &str) -> u64 {
        self.metric(&format!("presence_socketio_forwarded_total{{outcome=\"{outcome}\"}} "))
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.engine.deps.metrics.text().unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    }

    pub(super) async fn until_tunnels(&self, count: u64) {
        let look = async {
            while self.metric("presence_socketio_tunnels ") != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap();
    }

    /// A WebSocket, as far as HTTP goes.
    pub(super) async fn upgrade(&self) -> TcpStream {
        let mut tcp = TcpStream::connect(self.public).await.unwrap();
        let request = "GET /socket.io/?transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                       Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n\r\nearly";
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, tcp.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(
            head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-accept: of a2v5\r\n"),
            "{head}"
        );
        assert!(!head.contains("presence-"), "{head}");
        tcp
    }

    pub(super) fn drain(&self) {
        Drainer::new(self.engine.clone(), Arc::new(Readiness::default())).drain();
    }
}

/// Serves these routes somewhere on loopback.
fn open(tasks: &Tasks, routes: Router) -> SocketAddr {
    let listener = bind(([127, 0, 0, 1], 0).into(), "a test").unwrap();
    let address = listener.local_addr().unwrap();
    let cap = Cap { most: 100, refused: Box::new(|| {}) };
    tasks.start("door", serve(listener, routes, tasks.clone(), cap));
    address
}

/// The routes of an owner, behind the secret, that answers so.
pub(super) fn owner<F: Future<Output = Response<Body>> + Send + 'static>(
    serve: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
) -> Router {
    Router::new().route(
        "/socket.io/",
        any(async move |request: Request| {
            if request.headers()[header::AUTHORIZATION] != format!("Bearer {SECRET}") {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            arrived(OWNER, request, async |request| serve(request).await).await
        }),
    )
}

/// Says what it was asked.
pub(super) async fn mirror(request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut headers: Vec<_> =
        parts.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    let said = format!("{} {} [{}] {body:?}", parts.method, parts.uri, headers.join(", "));
    ([("keep-alive", "timeout=9"), ("connection", "x-hop"), ("x-hop", "1"), ("x-kept", "1")], said)
        .into_response()
}

/// Switches, and says back what it hears.
async fn echo(tasks: Tasks, mut request: Request) -> Response<Body> {
    let upgrading = request.extensions_mut().remove::<OnUpgrade>().unwrap();
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].to_str().unwrap().to_owned();
    tasks.start_to_finish(async move {
        let parts = upgrading.await.unwrap().downcast::<TokioIo<TcpStream>>().unwrap();
        let (mut from, mut to) = parts.io.into_inner().into_split();
        to.write_all(&parts.read_buf).await.unwrap();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let headers = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, format!("of {key}")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

pub(super) fn echoing(stage: &Stage) -> Router {
    let tasks = stage.owner.clone();
    owner(move |request| echo(tasks.clone(), request))
}

pub(super) async fn hear(tcp: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    timeout(PATIENCE, tcp.read_exact(&mut heard)).await.unwrap().unwrap();
    assert!(heard == expected);
}

pub(super) async fn hear_the_end(tcp: &mut TcpStream) {
    let ended = timeout(PATIENCE, tcp.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}
