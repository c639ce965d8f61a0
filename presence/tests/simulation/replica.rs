//! A replica: the real engine, composed as `app` composes it, in a process of the world instead of one of the machine.

use crate::world::{
    World,
    bus::SharedBus,
    identity::{Admitting, ItsClock, Trusting},
    link::{ClientEnd, Link},
    lock,
    peers::SharedPeers,
    process::{Process, State},
    store::Store,
};
use presence::{
    app,
    config::{Config, text::Period},
    deps::Deps,
    doors::native::Native,
    engine::Engine,
    event::Tongue,
    lifecycle::{drain::Drainer, lease::Lease, shutdown, tasks::Tasks},
    ports::clock::Clock,
    runner,
    telemetry::{Metrics, Readiness},
};
use presence_core::ids::ReplicaId;
use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
    pub(crate) engine: Arc<Engine>,
    lease: Arc<Lease>,
    pub(crate) drainer: Arc<Drainer>,
    terminate: CancellationToken,
}

/// The replicas of a run, in the order of their starts; and the load balancer before them.
#[derive(Debug, Default)]
pub(crate) struct Fleet(Mutex<Vec<Arc<Replica>>>);

impl Fleet {
    /// Starts a process under this label.
    pub(crate) fn start(&self, world: &Arc<World>, label: &str, mains: &TaskTracker) -> Arc<Replica> {
        let mut all = lock(&self.0);
        let replica = Replica::new(world, label, all.len());
        all.push(replica.clone());
        drop(all);
        let process = replica.process.clone();
        mains.spawn(process.embody(Box::pin(replica.clone().main())));
        replica
    }

    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        lock(&self.0).clone()
    }

    /// Those that have not come to their end.
    pub(crate) fn living(&self) -> Vec<Arc<Replica>> {
        self.all().into_iter().filter(|replica| replica.process.lives()).collect()
    }

    /// Those that take sockets, as far as the load balancer knows.
    pub(crate) fn accepting(&self) -> Vec<Arc<Replica>> {
        self.living().into_iter().filter(|replica| replica.process.accepts.load(Relaxed)).collect()
    }
}

fn config(world: &World, label: &str) -> Config {
    let mut config = Config::default();
    label.clone_into(&mut config.replica.label);
    "http://127.0.0.1:8081".clone_into(&mut config.replica.address);
    // Small, so that a client who does not read for a few seconds is noticed.
    config.native.queue_bytes = 6 * 1024;
    let chance = world.chance("config");
    if chance.percent(20) {
        config.session.leave_grace = Period::secs(0);
    }
    if chance.percent(20) {
        config.session.drain_timeout = Period::secs(3);
    }
    config
}

impl Replica {
    fn new(world: &Arc<World>, label: &str, number: usize) -> Arc<Self> {
        let chance = world.chance(&format!("replica {number}"));
        let id = ReplicaId(u128::from(chance.draw()) << 64 | u128::from(chance.draw()));
        let process = Process::start(world, label.to_owned(), id);
        let clock = Arc::new(ItsClock::new(world, &format!("clock {number}")));
        let body = process.clone();
        let tasks = Tasks::embodied(Arc::new(move |work| body.embody(work)));
        let deps = Deps {
            store: Arc::new(Store(process.clone())),
            bus: Arc::new(SharedBus { world: world.clone(), process: process.clone() }),
            peers: Arc::new(SharedPeers { world: world.clone(), process: process.clone() }),
            authn: Arc::new(Trusting(clock.clone())),
            authz: Arc::new(Admitting),
            metrics: Arc::new(Metrics::new(clock.wall())),
            clock,
            config: Arc::new(config(world, label)),
        };
        let engine = Arc::new(Engine { replica_id: id, ..app::engine(Arc::new(deps), tasks) });
        let lease = Arc::new(app::lease(&engine));
        let drainer = Arc::new(Drainer::new(engine.clone(), Arc::new(Readiness::default())));
        let terminate = CancellationToken::new();
        Arc::new(Self { world: world.clone(), process, engine, lease, drainer, terminate })
    }

    /// The process's whole life, as `app::serve` has it.
    async fn main(self: Arc<Self>) {
        // A process that cannot register ends, and is started again.
        while self.lease.register().await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        app::start_replica(&self.engine, &self.lease);
        self.engine.tasks.start_vital("drain", self.drainer.clone().run());
        self.process.accepts.store(true, Relaxed);
        tokio::select! {
            biased;
            () = self.terminate.cancelled() => {}
            () = self.engine.tasks.failed() => {}
        }
        self.process.accepts.store(false, Relaxed);
        shutdown::shut_down(&self.engine, &self.drainer, &self.lease).await;
        self.process.exited();
    }

    /// As SIGTERM.
    pub(crate) fn terminate(&self) {
        self.terminate.cancel();
    }

    /// A socket to this replica; none where nobody answers the handshake, or it is refused.
    pub(crate) fn accept(&self) -> Option<ClientEnd> {
        if !self.process.lives() || self.engine.draining.is_on() {
            return None;
        }
        let (link, server, client) = Link::open(&self.world);
        self.process.hold(&link);
        let engine = self.engine.clone();
        let terms = runner::Terms { rules: engine.rules, tongue: Tongue::Native };
        self.engine.tasks.start_to_finish(runner::run(engine, terms, (server, Native::default()), ()));
        Some(client)
    }

    /// What a process that has come to its end by itself has left behind.
    pub(crate) fn left_behind(&self) -> Option<String> {
        if self.process.state() != State::Exited {
            return None;
        }
        let (tasks, held) = (self.process.tasks.load(Relaxed), self.engine.ledger.len());
        let failed = self.engine.tasks.has_failed();
        (tasks > 0 || held > 0 || failed).then(|| {
            format!("{} left {tasks} tasks and {held} sessions behind (failed: {failed})", self.process.label)
        })
    }
}
