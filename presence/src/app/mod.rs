//! The composition root: settings become adapters, adapters become an engine, an engine gets its doors.
//!
//! The only place that names concrete adapters. `serve` is the whole life of the process.

mod analytics;
mod apps;
mod bus;
mod commands;
mod identity;
mod store;

pub use commands::Composition;

use crate::{
    adapters::{clock_system::SystemClock, crypto::install_crypto_provider},
    cli::Failure,
    config::Config,
    deps::Deps,
    doors,
    engine::{Engine, Standing},
    feeds::Feeds,
    flows::let_go::answer_peers,
    hub::Hub,
    ledger::Ledger,
    lifecycle::{
        drain::{Drainer, Draining},
        lease::{Lease, Tenure, Terms},
        lessons::{self, Lessons},
        monitor::{Count, Monitor},
        reconcile::Reconcile,
        serve::{self, Cap},
        shutdown,
        tasks::Tasks,
    },
    ports::{clock::Clock, session_store::Replica},
    relay::Relay,
    telemetry::{Metrics, Readiness, metrics::Refusal},
};
use axum::Router;
use bus::OpenBus;
use presence_core::{ids::ReplicaId, session::Rules, time::millis};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Connections to the internal and the health port, at most: siblings, an operator, a scraper; besides those that
/// siblings carry for clients.
const FEW: usize = 256;
/// How long the start waits for the bus, and for Redis.
const COMPANY_PATIENCE: Duration = Duration::from_secs(2);

/// Serves until the process is asked to end, or cannot go on.
pub async fn serve(mut config: Config) -> Result<(), Failure> {
    install_crypto_provider();
    // Before anything else is touched: a taken port is the commonest mistake.
    let listeners = Listeners::bind(&config)?;
    if let Ok(at) = listeners.internal.local_addr() {
        config.replica.settle(config.internal.addr, at);
    }
    let config = Arc::new(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Arc::new(Metrics::new(clock.wall()));
    let tasks = Tasks::default();
    let store = store::open(&config).await?;
    let bus = bus::open(&config, clock.clone(), &metrics).await?;
    let deps = Arc::new(Deps {
        store: store.store.clone(),
        bus: bus.bus.clone(),
        peers: bus.peers.clone(),
        authn: identity::authn(&config, clock.clone()).await?,
        authz: identity::authz(&config, clock.clone()).await?,
        clock: clock.clone(),
        metrics: metrics.clone(),
        config: config.clone(),
    });
    let mut apps = apps::open(&config, &clock, &metrics, (store.lessons, bus.notices.clone()))?;
    let engine = Engine { apps: apps.as_ref().map(|open| open.apps.clone()), ..engine(deps, tasks.clone()) };
    let engine = Arc::new(engine);
    let lease = Arc::new(lease(&engine));
    let readiness = Arc::new(Readiness::default());
    let drainer = Arc::new(Drainer::new(engine.clone(), readiness.clone()));
    tasks.start_vital("store", store.run);
    lease.register().await.map_err(|fault| Failure::unavailable("cannot register this replica", fault))?;
    start(&engine, &lease, &readiness, (store.statements, bus));
    if let Some(apps) = &mut apps {
        apps.start(&tasks);
    }
    await_company(&engine).await;
    tasks.start_vital("drain", drainer.clone().run());
    listeners.serve(&engine, &readiness, &drainer);
    shutdown::requested(&engine).await?;
    shutdown::shut_down(&engine, &drainer, &lease).await;
    if let Some(last_words) = apps.and_then(|apps| apps.last_words) {
        last_words.await;
    }
    if tasks.has_failed() {
        return Err(Failure::plain("a vital task ended before its time; the log says which"));
    }
    Ok(())
}

/// Gives the bus a moment: who connects before it is there learns no position, and needs a resync once it is. And the
/// lesson state: an app that connects before it is there has to try again.
async fn await_company(engine: &Engine) {
    tokio::join!(await_the_bus(engine), await_the_lesson_state(engine));
}

async fn await_the_bus(engine: &Engine) {
    let up = async {
        while !engine.deps.bus.is_up() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(COMPANY_PATIENCE, up).await.is_err() {
        tracing::warn!("the bus is away; serving without it, and telling everything once it is back");
    }
}

async fn await_the_lesson_state(engine: &Engine) {
    let Some(apps) = &engine.apps else { return };
    let up = async {
        while !apps.state.is_up() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(COMPANY_PATIENCE, up).await.is_err() {
        tracing::warn!("Redis is away; classroom apps cannot connect until it is back");
    }
}

/// A replica's engine, before it has started anything.
pub fn engine(deps: Arc<Deps>, tasks: Tasks) -> Engine {
    let hub = Arc::new(Hub::default());
    let feeds = Feeds {
        hub: hub.clone(),
        bus: deps.bus.clone(),
        store: deps.store.clone(),
        metrics: deps.metrics.clone(),
        tasks: tasks.clone(),
    };
    Engine {
        rules: rules(&deps.config),
        replica_id: ReplicaId(uuid::Uuid::new_v4().as_u128()),
        standing: Standing::default(),
        ledger: Ledger::default(),
        hub,
        relay: Arc::new(Relay::counting(deps.metrics.outbox_published.clone())),
        feeds,
        tasks,
        apps: None,
        draining: Draining::default(),
        deps,
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        auth_timeout: millis(config.native.auth_timeout.0),
        ping_interval: millis(config.native.ping_interval.0),
        pong_timeout: millis(config.native.pong_timeout.0),
        leave_grace: millis(config.session.leave_grace.0),
        frames_per_second: config.native.frames_per_second,
        frames_burst: config.native.frames_burst,
        follows: true,
    }
}

/// Its lease, not yet registered.
pub fn lease(engine: &Engine) -> Lease {
    let config = &engine.deps.config;
    Lease {
        replicas: engine.deps.store.clone(),
        clock: engine.deps.clock.clone(),
        replica: Replica {
            id: engine.replica_id,
            label: config.replica.label.clone(),
            address: config.replica.address.clone(),
        },
        standing: engine.standing.clone(),
        tenure: Tenure::new(config.session.lease_ttl.0),
        relay: engine.relay.clone(),
        metrics: engine.deps.metrics.clone(),
        terms: Terms {
            ttl: config.session.lease_ttl.0,
            renew_every: config.session.lease_renew.0,
            return_window: config.session.return_window.0,
        },
    }
}

/// Starts what makes an engine a replica among others.
pub fn start_replica(engine: &Arc<Engine>, lease: &Arc<Lease>) {
    let Deps { store: outbox, bus: events, .. } = &*engine.deps;
    let relay = engine.relay.clone();
    engine.tasks.start_vital("relay", relay.run(outbox.clone(), events.clone(), engine.replica_id));
    engine.tasks.start_vital("peers", answer_peers(engine.clone()));
    engine.tasks.start_vital("lease", lease.clone().keep());
    let reconcile = Reconcile { engine: engine.clone(), tenure: lease.tenure.clone() };
    engine.tasks.start_vital("reconcile", reconcile.run());
    if engine.apps.is_some() {
        let lessons = Lessons { engine: engine.clone(), tenure: lease.tenure.clone() };
        engine.tasks.start_vital("lesson state", lessons.run());
        engine.tasks.start_vital("notices", lessons::hear(engine.clone()));
    }
}

/// Starts what the process cannot do without.
fn start(engine: &Arc<Engine>, lease: &Arc<Lease>, readiness: &Arc<Readiness>, open: (Count, OpenBus)) {
    let (statements, bus) = open;
    let Deps { store: outbox, bus: events, metrics, .. } = &*engine.deps;
    start_replica(engine, lease);
    if let Some(run) = bus.run {
        engine.tasks.start_vital("bus", run);
    }
    let monitor = Monitor {
        outbox: outbox.clone(),
        bus: events.clone(),
        lesson_state: engine.apps.as_ref().map(|apps| apps.state.clone()),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        statements,
        poison: bus.poison,
    };
    engine.tasks.start_vital("monitor", monitor.run());
}

/// The three ports, taken before anything else is done.
struct Listeners {
    public: TcpListener,
    internal: TcpListener,
    metrics: TcpListener,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            public: bind(config.public.addr, "PRESENCE_PUBLIC__ADDR")?,
            internal: bind(config.internal.addr, "PRESENCE_INTERNAL__ADDR")?,
            metrics: bind(config.metrics.addr, "PRESENCE_METRICS__ADDR")?,
        })
    }

    fn serve(self, engine: &Arc<Engine>, readiness: &Arc<Readiness>, drainer: &Arc<Drainer>) {
        let deps = &engine.deps;
        self.announce(&deps.config);
        let admission = Arc::new(doors::admission::Admission::new(engine.clone()));
        let mut public = doors::http::router(deps.clone());
        if deps.config.native.enabled {
            public = public.merge(doors::native::routes(engine.clone(), admission.clone()));
        }
        let (mut forwarded, mut most_internal) = (None, FEW);
        if engine.apps.is_some() {
            let talking = doors::socketio::talking(engine);
            let door = doors::socketio::Door::new(engine.clone(), admission, talking);
            public = public.merge(doors::socketio::routes(door.clone()));
            forwarded = Some(doors::socketio::internal_routes(door));
            // Whoever has a connection here may come by another replica.
            most_internal += deps.config.public.max_connections as usize;
        }
        let internal = doors::internal::routes(engine.clone(), drainer.clone(), forwarded);
        let health = doors::health::router(readiness.clone(), deps.metrics.clone());
        let start = |name, listener, routes: Router, most| {
            let metrics = deps.metrics.clone();
            let cap = Cap { most, refused: Box::new(move || metrics.refuse(Refusal::Limit)) };
            engine.tasks.start_vital(name, serve::serve(listener, routes, engine.tasks.clone(), cap));
        };
        start("public door", self.public, public, deps.config.public.max_connections as usize);
        start("internal door", self.internal, internal, most_internal);
        start("health door", self.metrics, health, FEW);
    }

    /// Says where it listens, and what to try next.
    fn announce(&self, config: &Config) {
        let address =
            |listener: &TcpListener| listener.local_addr().map_or_else(|_| "?".into(), |at| at.to_string());
        let (public, internal, metrics) =
            (address(&self.public), address(&self.internal), address(&self.metrics));
        let (store, bus) = (config.store_url(), &config.bus.url);
        let replica = &config.replica.label;
        tracing::info!(public, internal, metrics, %store, %bus, replica, "listening");
        if config.has_live_page() {
            tracing::info!("open http://{public}/ or try: cargo run -- join math --account teacher-1");
        }
    }
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, Failure> {
    serve::bind(address, setting).map_err(|error| Failure::unavailable("cannot start", error))
}
