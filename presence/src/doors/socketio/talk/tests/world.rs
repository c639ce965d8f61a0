//! A small world for apps: replicas that share a store, a bus and the lesson state, and may lose the last one.

use crate::{
    adapters::{
        authz_claims::ClaimsAuthz,
        bus_in_process::{InProcessBus, Options},
        clock_system::SystemClock,
        lesson_state_in_process::InProcessLessonState,
        session_store_sqlite::{SqliteOptions, SqliteStore},
    },
    app,
    apps::{Apps, Present},
    config::{Config, text::Period},
    deps::Deps,
    engine::Engine,
    flows::let_go::let_go,
    hub::Orgs,
    lifecycle::tasks::Tasks,
    ports::{
        Fault,
        analytics::{Analytics, Report},
        authn::{self, Authn, Identity},
        clock::Clock,
        lesson_state::{AppSocket, Ended, Entered, Entry, Known, LessonState, Recovery},
        lessons::{Lesson, Lessons},
        notices::{Notice, Notices},
        peers::{Answer, Ask, Asked, Peers},
    },
    telemetry::Metrics,
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use presence_core::{
    ids::{ClassroomId, OrgId, RecoveryId, ReplicaId, UserId},
    time::UnixMicros,
};
use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// How long a broken connection is held: long enough to come back, and not long to wait for.
pub(super) const GRACE: Period = Period::millis(700);

pub(super) struct World {
    pub(super) state: Arc<Flaky>,
    pub(super) reports: Arc<Reports>,
    store: Arc<SqliteStore>,
    bus: Arc<InProcessBus>,
    clock: Arc<SystemClock>,
    near: Arc<Near>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, run) = SqliteStore::open(&SqliteOptions::new(dir.path().join("db"))).await.unwrap();
        let tasks = Tasks::default();
        tasks.start("store", run);
        let clock = Arc::new(SystemClock::start());
        let state = InProcessLessonState::new(clock.clone());
        Self {
            state: Arc::new(Flaky {
                state,
                away: AtomicBool::new(false),
                away_from_joins: AtomicBool::new(false),
            }),
            reports: Arc::default(),
            store,
            bus: Arc::new(InProcessBus::new(Options { max_events: 64, ..Options::default() }, &*clock)),
            clock,
            near: Arc::default(),
            _dir: dir,
        }
    }

    pub(super) async fn replica(&self, label: &str) -> Arc<Engine> {
        let mut config = Config::default();
        config.replica.label = label.to_owned();
        config.session.leave_grace = GRACE;
        let deps = Deps {
            store: self.store.clone(),
            bus: self.bus.clone(),
            peers: self.near.clone(),
            authn: Arc::new(Words),
            authz: Arc::new(ClaimsAuthz),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::new(self.clock.wall())),
            config: Arc::new(config),
        };
        let mut engine = app::engine(Arc::new(deps), Tasks::default());
        engine.apps = Some(Apps {
            state: self.state.clone(),
            lessons: Arc::new(Backend),
            analytics: self.reports.clone(),
            notices: self.near.clone(),
            orgs: Orgs::default(),
            present: Present::default(),
        });
        let engine = Arc::new(engine);
        let lease = Arc::new(app::lease(&engine));
        lease.register().await.unwrap();
        app::start_replica(&engine, &lease);
        self.near.0.lock().unwrap().push(Arc::downgrade(&engine));
        engine
    }

    /// What backends read under a key, without how long it stays.
    pub(super) fn key(&self, key: &str) -> Vec<String> {
        let fields = self.state.state.hash(key).map(|(fields, _)| fields).unwrap_or_default();
        fields.into_iter().map(|(field, value)| format!("{field}={value}")).collect()
    }

    pub(super) fn say_in(&self, classroom: &str) {
        let body = br#"{"id":{"entity_type":"note","operation":"added","sequence_id":1},"payload":{}}"#;
        self.bus.publish_raw(&format!("classroom.{classroom}.chat"), &[], body);
    }
}

/// A token is `sub|org|role|classroom`; `later` comes before its time.
#[derive(Debug)]
struct Words;

#[async_trait]
impl Authn for Words {
    async fn authenticate(&self, token: &str) -> Result<Identity, authn::Error> {
        let parts: Vec<_> = token.split('|').collect();
        let [sub, org, role, classroom] = parts[..] else {
            return Err(if token == "later" {
                authn::Error::Unavailable
            } else {
                authn::Error::Rejected("not one of ours")
            });
        };
        Ok(Identity {
            account: sub.parse().unwrap(),
            audience: "school.example".parse().unwrap(),
            expires: UnixMicros(i64::MAX),
            classrooms: Some(vec![classroom.to_owned()]),
            org_id: Some(org.to_owned()),
            role: Some(role.to_owned()),
        })
    }
}

/// The lesson `math` of org `o`, in room `r1`, where `bob` sits at 7; `theirs` of another org.
#[derive(Debug)]
struct Backend;

#[async_trait]
impl Lessons for Backend {
    async fn lesson(&self, lesson: &ClassroomId, student: &UserId) -> Result<Option<Lesson>, Fault> {
        let org = match lesson.as_str() {
            "math" => "o",
            "theirs" => "p",
            _ => return Ok(None),
        };
        let seat = (student.as_str() == "bob").then(|| "7".to_owned());
        Ok(Some(Lesson { org_id: org.to_owned(), room_id: Some("r1".to_owned()), seat }))
    }

    async fn room(&self, _: &ClassroomId) -> Result<Option<String>, Fault> {
        Ok(Some("r1".to_owned()))
    }
}

#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<Vec<Report>>);

impl Reports {
    /// `reconnect ann math r1`
    pub(super) fn all(&self) -> Vec<String> {
        let line = |it: &Report| {
            let lesson = it.lesson.as_ref().map_or("-", |lesson| lesson.as_str());
            format!("{} {} {lesson} {}", it.what.as_str(), it.user_id, it.room.as_deref().unwrap_or("-"))
        };
        self.0.lock().unwrap().iter().map(line).collect()
    }
}

impl Analytics for Reports {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(report);
    }
}

/// The replicas of this world, which hear each other at once.
#[derive(Debug, Default)]
struct Near(Mutex<Vec<Weak<Engine>>>);

impl Near {
    fn all(&self) -> Vec<Arc<Engine>> {
        self.0.lock().unwrap().iter().filter_map(Weak::upgrade).collect()
    }
}

#[async_trait]
impl Peers for Near {
    async fn ask(&self, replica: ReplicaId, ask: &Ask) -> Result<Answer, Fault> {
        let found = self.all().into_iter().find(|engine| engine.replica_id == replica);
        Ok(found.map_or(Answer::NotHere, |engine| let_go(&engine, ask)))
    }

    async fn asked(&self, _: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault> {
        Ok(stream::pending().boxed())
    }
}

#[async_trait]
impl Notices for Near {
    async fn tell(&self, me: ReplicaId, notice: &Notice) -> Result<(), Fault> {
        for other in self.all().into_iter().filter(|engine| engine.replica_id != me) {
            other.apps.as_ref().unwrap().orgs.tell(notice);
        }
        Ok(())
    }

    async fn heard(&self, _: ReplicaId) -> Result<BoxStream<'static, Notice>, Fault> {
        Ok(stream::pending().boxed())
    }
}

/// The lesson state, as long as it is not away, or goes away between a claim and what is written after it.
#[derive(Debug)]
pub(super) struct Flaky {
    state: InProcessLessonState,
    away: AtomicBool,
    away_from_joins: AtomicBool,
}

impl Flaky {
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Relaxed);
    }

    pub(super) fn set_away_from_joins(&self, away: bool) {
        self.away_from_joins.store(away, Relaxed);
    }

    fn there(&self) -> Result<&InProcessLessonState, Fault> {
        if self.away.load(Relaxed) {
            return Err(Fault::unavailable("the lesson state", "away"));
        }
        Ok(&self.state)
    }
}

#[async_trait]
impl LessonState for Flaky {
    async fn connect(&self, replica: ReplicaId, socket: &AppSocket, at: i64) -> Result<Known, Fault> {
        self.there()?.connect(replica, socket, at).await
    }

    async fn join(&self, replica: ReplicaId, socket: &AppSocket, entry: &Entry) -> Result<Known, Fault> {
        if self.away_from_joins.load(Relaxed) {
            return Err(Fault::unavailable("the lesson state", "away"));
        }
        self.there()?.join(replica, socket, entry).await
    }

    async fn end(
        &self,
        replica: ReplicaId,
        socket: &AppSocket,
        left: Option<&RecoveryId>,
    ) -> Result<Option<Ended>, Fault> {
        self.there()?.end(replica, socket, left).await
    }

    async fn log_out(&self, org: &OrgId, user: &UserId) -> Result<(), Fault> {
        self.there()?.log_out(org, user).await
    }

    async fn restore(&self, of: ReplicaId, entered: &Entered, at: i64, seats: u16) -> Result<bool, Fault> {
        self.there()?.restore(of, entered, at, seats).await
    }

    async fn recovery(&self, pid: &RecoveryId) -> Result<Option<Recovery>, Fault> {
        self.there()?.recovery(pid).await
    }

    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault> {
        self.there()?.room(lesson).await
    }

    async fn set_room(&self, lesson: &ClassroomId, room: &str) -> Result<(), Fault> {
        self.there()?.set_room(lesson, room).await
    }

    async fn entered(&self, replica: ReplicaId) -> Result<Vec<Entered>, Fault> {
        self.there()?.entered(replica).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaId>, Fault> {
        self.there()?.replicas().await
    }

    fn is_up(&self) -> bool {
        !self.away.load(Relaxed)
    }
}
