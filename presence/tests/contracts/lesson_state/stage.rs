//! What a test of the lesson state stands on: keys of its own, and a plain client that reads them back.

use crate::bus_kit::environment;
use presence::{
    adapters::{
        clock_system::SystemClock,
        lesson_state_in_process::InProcessLessonState,
        lesson_state_redis::{Options, RedisLessonState},
    },
    ports::{
        clock::Clock,
        lesson_state::{AppSocket, Entry, LessonState, Recovery},
    },
};
use presence_core::{
    app::Kind,
    ids::{ClassroomId, ReplicaId},
    time::{Time, UnixMicros},
};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

pub(crate) const A: ReplicaId = ReplicaId(0xa);
pub(crate) const B: ReplicaId = ReplicaId(0xb);
pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;

/// Makes each test twice: on Redis, and in the process.
macro_rules! on_every_lesson_state {
    ($($test:ident),+ $(,)?) => {
        mod on_redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&crate::lesson_state::stage::Stage::redis().await).await;
                }
            )+
        }
        mod in_process {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&crate::lesson_state::stage::Stage::in_process()).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_lesson_state;

/// A clock that goes on when it is told to.
#[derive(Debug, Default)]
pub(crate) struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(0)
    }

    fn chance(&self) -> u64 {
        0
    }
}

pub(crate) struct Stage {
    pub(crate) state: Arc<dyn LessonState>,
    ground: Ground,
}

enum Ground {
    Redis { prefix: String, client: MultiplexedConnection, _running: JoinSet<()> },
    InProcess { state: Arc<InProcessLessonState>, clock: Arc<HandClock> },
}

/// Fields, and the seconds that are left of them.
pub(crate) type Hash = (BTreeMap<String, String>, Option<u64>);

impl Stage {
    pub(crate) async fn redis() -> Self {
        Self::on(&environment("PRESENCE_TEST_REDIS")).await
    }

    pub(crate) async fn on(url: &str) -> Self {
        let prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
        let mut running = JoinSet::new();
        let state = open(url, &prefix, &mut running).await;
        let client = plain(url).await;
        Self { state, ground: Ground::Redis { prefix, client, _running: running } }
    }

    pub(crate) fn in_process() -> Self {
        let clock = Arc::new(HandClock::default());
        let state = Arc::new(InProcessLessonState::new(clock.clone()));
        Self { state: state.clone(), ground: Ground::InProcess { state, clock } }
    }

    /// Another process on the same keys.
    pub(crate) async fn another(&self) -> (Arc<dyn LessonState>, JoinSet<()>) {
        let mut running = JoinSet::new();
        let state: Arc<dyn LessonState> = match &self.ground {
            Ground::Redis { prefix, .. } => {
                open(&environment("PRESENCE_TEST_REDIS"), prefix, &mut running).await
            }
            Ground::InProcess { state, .. } => state.clone(),
        };
        (state, running)
    }

    pub(crate) async fn hash(&self, key: &str) -> Option<Hash> {
        match &self.ground {
            Ground::Redis { prefix, client, .. } => {
                let (mut client, key) = (client.clone(), format!("{prefix}{key}"));
                let fields: BTreeMap<String, String> = client.hgetall(&key).await.unwrap();
                let left: i64 = client.ttl(&key).await.unwrap();
                (!fields.is_empty()).then_some((fields, u64::try_from(left).ok()))
            }
            Ground::InProcess { state, .. } => {
                state.hash(key).map(|(fields, left)| (fields, left.map(|left| left.as_secs())))
            }
        }
    }

    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        match &self.ground {
            Ground::Redis { prefix, client, .. } => {
                client.clone().get(format!("{prefix}{key}")).await.unwrap()
            }
            Ground::InProcess { state, .. } => state.text(key),
        }
    }

    /// What backends read, all of it: without what is ours, and without how long it stays.
    pub(crate) async fn everything(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut everything = BTreeMap::new();
        for name in self.names().await {
            if !name.starts_with("presence:") {
                let (fields, _) = self.hash(&name).await.unwrap();
                everything.insert(name, fields);
            }
        }
        everything
    }

    /// Those of ours, too.
    pub(crate) async fn names(&self) -> Vec<String> {
        match &self.ground {
            Ground::Redis { prefix, client, .. } => {
                let mut client = client.clone();
                let mut found = client.scan_match(format!("{prefix}*")).await.unwrap();
                let mut names = vec![];
                while let Some(name) = found.next_item().await {
                    let name: String = name.unwrap();
                    names.push(name.strip_prefix(prefix).unwrap().to_owned());
                }
                names
            }
            Ground::InProcess { state, .. } => state.names(),
        }
    }

    /// Loses everything.
    pub(crate) async fn flush(&self) {
        match &self.ground {
            Ground::Redis { prefix, client, .. } => {
                let names: Vec<_> = self.names().await.iter().map(|name| format!("{prefix}{name}")).collect();
                if !names.is_empty() {
                    client.clone().del::<_, ()>(names).await.unwrap();
                }
            }
            Ground::InProcess { state, .. } => state.flush(),
        }
    }

    /// As if a key had as long to live as this.
    pub(crate) async fn outlive(&self, key: &str, by: Duration) {
        match &self.ground {
            Ground::Redis { prefix, client, .. } => {
                let (mut client, key) = (client.clone(), format!("{prefix}{key}"));
                let left: i64 = client.ttl(&key).await.unwrap();
                assert!((0..=i64::try_from(by.as_secs()).unwrap()).contains(&left), "{key} lives {left} s");
                client.del::<_, ()>(&key).await.unwrap();
            }
            Ground::InProcess { clock, .. } => {
                clock.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
            }
        }
    }

    /// Seats are taken by the classroom's backend.
    pub(crate) async fn take_seat(&self, lesson: &str, seat: &str, student: &str) {
        if let Ground::Redis { prefix, client, .. } = &self.ground {
            let key = format!("{prefix}lesson_seat_{lesson}");
            client.clone().hset::<_, _, _, ()>(key, seat, student).await.unwrap();
        }
    }

    /// Whether somebody else can write here.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.ground, Ground::Redis { .. })
    }

    /// Somebody else's key.
    pub(crate) async fn set(&self, key: &str, text: &str) {
        if let Ground::Redis { prefix, client, .. } = &self.ground {
            client.clone().set::<_, _, ()>(format!("{prefix}{key}"), text).await.unwrap();
        }
    }

    pub(crate) async fn connect(&self, socket: &AppSocket, login_time: i64) {
        self.state.connect(A, socket, login_time).await.unwrap();
    }

    pub(crate) async fn join(&self, socket: &AppSocket, lesson: &str) {
        self.state.join(A, socket, &entry(lesson)).await.unwrap();
    }
}

/// Up, or it fails.
pub(crate) async fn open(url: &str, prefix: &str, running: &mut JoinSet<()>) -> Arc<RedisLessonState> {
    let options = Options { url: url.into(), key_prefix: prefix.into(), tls_ca_file: None };
    let (state, run) = RedisLessonState::open(&options, Arc::new(SystemClock::start())).unwrap();
    running.spawn(run);
    crate::bus_kit::eventually("a connection to Redis", async || state.is_up()).await;
    state
}

pub(crate) async fn plain(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

static SOCKETS: Mutex<u64> = Mutex::new(0);

/// One of org `o1`.
pub(crate) fn socket(kind: Kind, user: &str) -> AppSocket {
    let mut count = SOCKETS.lock().unwrap();
    *count += 1;
    AppSocket {
        sid: format!("{user}-{count}").parse().unwrap(),
        user_id: user.parse().unwrap(),
        org_id: "o1".parse().unwrap(),
        kind,
        role: if kind == Kind::Student { "student" } else { "teacher" }.into(),
    }
}

pub(crate) fn entry(lesson: &str) -> Entry {
    Entry { lesson: lesson.parse().unwrap(), seats: 3, by_token: false, recovery: None }
}

pub(crate) fn recovery(socket: &AppSocket, lesson: &ClassroomId) -> Recovery {
    Recovery {
        sid: socket.sid.clone(),
        user_id: socket.user_id.clone(),
        org_id: socket.org_id.clone(),
        kind: socket.kind.as_str().into(),
        lesson: lesson.clone(),
        seat: Some("7".into()),
        session_id: 41,
        seq: 1 << 40,
    }
}

pub(crate) fn fields<const N: usize>(fields: [(&str, &str); N]) -> BTreeMap<String, String> {
    fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into()
}

/// It was given as long as this not long ago.
#[track_caller]
pub(crate) fn assert_lives(hash: &Hash, seconds: u64) {
    let left = hash.1.expect("it expires");
    assert!((seconds - 60..=seconds).contains(&left), "{left} of {seconds}");
}
