//! What a test of the store stands on: an empty store of its own, and the words to say what happens on it.

use futures_util::future::BoxFuture;
use presence::{
    adapters::{
        session_store_postgres::{self, PostgresOptions, PostgresStore},
        session_store_sqlite::{SqliteOptions, SqliteStore},
    },
    ports::{
        Fault,
        lessons::Lessons,
        session_store::{Claim, Claimed, Due, Pending, Release, Replica, Stay, Store},
    },
};
use presence_api::event::Operation;
use presence_core::{
    ids::{ClassroomId, Fence, ReplicaId, SessionId, SessionKey},
    page::Limit,
    session::Held,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use std::{
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const A: ReplicaId = ReplicaId(0xa);
pub(crate) const B: ReplicaId = ReplicaId(0xb);
pub(crate) const C: ReplicaId = ReplicaId(0xc);

/// Makes each test twice: on PostgreSQL, and on SQLite.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::session_store::stage::Stage::postgres().await.play(super::$test).await;
                }
            )+
        }
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::session_store::stage::Stage::sqlite().await.play(super::$test).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_store;

/// A database of one test's own.
#[derive(Debug)]
pub(crate) enum Ground {
    Postgres { url: String },
    Sqlite { folder: TempDir },
}

/// What a test may want different from what a server has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes {
    pub(crate) retention: Duration,
    pub(crate) orphan_grace: Duration,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { retention: HOUR, orphan_grace: HOUR }
    }
}

pub(crate) struct Stage {
    ground: Ground,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lessons: Arc<dyn Lessons>,
    pub(crate) statements: Box<dyn Fn() -> u64 + Send + Sync>,
    running: Mutex<JoinSet<()>>,
}

impl Stage {
    pub(crate) async fn postgres() -> Self {
        let url = new_database().await;
        session_store_postgres::migrate(&url).await.unwrap();
        Self::on(Ground::Postgres { url }).await
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::on(Ground::Sqlite { folder }).await
    }

    async fn on(ground: Ground) -> Self {
        let mut running = JoinSet::new();
        let Opened { store, lessons, statements, run } = open(&ground, Wishes::default()).await;
        running.spawn(run);
        Self { ground, store, lessons, statements, running: Mutex::new(running) }
    }

    /// Plays a test with the replicas A, B and C registered, and cleans up after it.
    pub(crate) async fn play(self, test: impl AsyncFnOnce(&Self)) {
        for id in [A, B, C] {
            self.store.register(&replica(id), HOUR).await.unwrap();
        }
        test(&self).await;
        let Self { ground, store, lessons, statements, running } = self;
        drop((store, lessons, statements));
        running.into_inner().unwrap().shutdown().await;
        if let Ground::Postgres { url } = ground {
            drop_database(&url).await;
        }
    }

    /// Does to the database what no store would do.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.ground {
            Ground::Postgres { url } => {
                let mut connection = connect(url).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Ground::Sqlite { folder } => {
                let mut connection =
                    SqliteConnectOptions::new().filename(database_file(folder)).connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The same in the words of each.
    pub(crate) async fn execute_either(&self, postgres: &str, sqlite: &str) {
        self.execute(if matches!(self.ground, Ground::Postgres { .. }) { postgres } else { sqlite }).await;
    }

    /// The address of the database, on PostgreSQL.
    pub(crate) fn url(&self) -> &str {
        match &self.ground {
            Ground::Postgres { url } => url,
            Ground::Sqlite { .. } => panic!("a file has no URL"),
        }
    }

    /// Another process on the same database: with connections and batches of its own.
    pub(crate) async fn another_store(&self) -> Arc<dyn Store> {
        self.store_that(Wishes::default()).await
    }

    pub(crate) async fn store_that(&self, wishes: Wishes) -> Arc<dyn Store> {
        let Opened { store, run, .. } = open(&self.ground, wishes).await;
        self.running.lock().unwrap().spawn(run);
        store
    }

    pub(crate) async fn claim(&self, key: &SessionKey, replica_id: ReplicaId) -> Claimed {
        self.store.claim(claim(key, replica_id)).await.unwrap()
    }

    pub(crate) async fn resume(
        &self,
        key: &SessionKey,
        replica_id: ReplicaId,
        session: SessionId,
    ) -> Claimed {
        let resume = Some(session);
        let claim = Claim { resume, ..claim(key, replica_id) };
        self.store.claim(claim).await.unwrap()
    }

    /// As a process of the release before, or a claim that was under way when the replica's row went.
    pub(crate) async fn claim_of_nobody(&self, key: &SessionKey) -> Held {
        let nobody = ReplicaId(0xdead);
        self.store.register(&replica(nobody), HOUR).await.unwrap();
        let held = self.claim(key, nobody).await.held;
        self.execute(&format!("DELETE FROM replica WHERE id = '{nobody}'")).await;
        held
    }

    pub(crate) async fn release(&self, held: Held) -> bool {
        self.store.release(release(held)).await.unwrap()
    }

    pub(crate) async fn stays(&self, classroom: &ClassroomId) -> Vec<Stay> {
        let mut stays: Vec<Stay> = Vec::new();
        loop {
            let after = stays.last().map_or(SessionId(0), |stay| stay.session_id);
            let page = self.store.attendance(classroom, after, Limit::default()).await.unwrap();
            if page.is_empty() {
                return stays;
            }
            stays.extend(page);
        }
    }

    /// Everything that waits to be published.
    pub(crate) async fn waiting(&self) -> Vec<Pending> {
        self.store.due(Due::OlderThan(Duration::ZERO), u32::MAX).await.unwrap()
    }

    pub(crate) async fn publish_all(&self) {
        let positions: Vec<_> = self.waiting().await.iter().map(|event| event.position).collect();
        self.store.published(&positions).await.unwrap();
    }

    pub(crate) async fn events(&self) -> Vec<(Operation, SessionId)> {
        let waiting = self.waiting().await.into_iter();
        waiting.map(|event| (event.operation, event.session_id)).collect()
    }
}

struct Opened {
    store: Arc<dyn Store>,
    lessons: Arc<dyn Lessons>,
    statements: Box<dyn Fn() -> u64 + Send + Sync>,
    run: BoxFuture<'static, ()>,
}

async fn open(ground: &Ground, wishes: Wishes) -> Opened {
    let Wishes { retention, orphan_grace } = wishes;
    match ground {
        Ground::Postgres { url } => {
            let options = PostgresOptions {
                max_connections: 8,
                timeout: Duration::from_secs(30),
                retention,
                orphan_grace,
                ..PostgresOptions::new(url)
            };
            let (store, run) = PostgresStore::open(&options).await.unwrap();
            let (lessons, counted) = (store.clone(), store.clone());
            Opened { store, lessons, statements: Box::new(move || counted.statements()), run }
        }
        Ground::Sqlite { folder } => {
            let options = SqliteOptions {
                timeout: Duration::from_secs(30),
                retention,
                orphan_grace,
                ..SqliteOptions::new(database_file(folder))
            };
            let (store, run) = SqliteStore::open(&options).await.unwrap();
            let (lessons, counted) = (store.clone(), store.clone());
            Opened { store, lessons, statements: Box::new(move || counted.statements()), run }
        }
    }
}

fn database_file(folder: &TempDir) -> PathBuf {
    folder.path().join("presence.db")
}

/// The URL of a new, empty database.
pub(crate) async fn new_database() -> String {
    let server = server_url();
    let name = format!("presence_{}", Uuid::new_v4().simple());
    let mut admin = connect(server.as_str()).await;
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
    let mut url = server;
    url.set_path(&name);
    url.into()
}

pub(crate) async fn drop_database(url: &str) {
    let name = url::Url::parse(url).unwrap().path().trim_start_matches('/').to_owned();
    let mut admin = connect(server_url().as_str()).await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::raw_sql(drop).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
}

fn server_url() -> url::Url {
    let url = std::env::var("PRESENCE_TEST_POSTGRES")
        .expect("PRESENCE_TEST_POSTGRES must be the postgres:// URL of a superuser for these tests");
    url::Url::parse(&url).expect("PRESENCE_TEST_POSTGRES must be a URL")
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnectOptions::from_str(url).unwrap().connect().await.unwrap()
}

pub(crate) fn replica(id: ReplicaId) -> Replica {
    Replica { id, label: format!("presence-{:x}", id.0), address: "http://127.0.0.1:8081".into() }
}

pub(crate) fn classroom(name: &str) -> ClassroomId {
    name.parse().unwrap()
}

pub(crate) fn key(agent: &str, room: &str) -> SessionKey {
    SessionKey {
        agent_id: format!("web.{agent}.school.example").parse().unwrap(),
        classroom_id: classroom(room),
    }
}

/// As a replica that has registered once.
pub(crate) fn claim(key: &SessionKey, replica_id: ReplicaId) -> Claim {
    Claim { key: key.clone(), replica_id, fence: Fence(1), resume: None }
}

pub(crate) fn release(held: Held) -> Release {
    Release { held, ago: Duration::ZERO }
}

#[track_caller]
pub(crate) fn assert_unavailable<T: std::fmt::Debug>(result: &Result<T, Fault>) {
    assert!(matches!(result, Err(Fault::Unavailable { .. })), "{result:?}");
}
