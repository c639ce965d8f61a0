//! Puts the operator together and runs it: client, watches, election, loop and health server, and their end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kube::{Api, Client, Config, client::ClientBuilder};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    apply::Writer,
    caches::Caches,
    cli::{Failure, Run},
    controller::Controller,
    events::Events,
    facts::{Facts, Family, OperatorPods},
    fetch::Fetcher,
    health::{Health, Pulse, routes},
    kinds::KnownKinds,
    leader::Candidate,
    memory::Memories,
    pods::Pods,
    reconcile::Reconciler,
    telemetry::{Metrics, requests::CountRequests},
    watches::{Resources, Watches, kinds},
};

/// What is left to do at the end, watches and the lease, gets this long.
const FAREWELL: Duration = Duration::from_secs(4);
/// The first question to the API server.
const REACHED: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub async fn operate(run: Run) -> Result<(), Failure> {
    let tasks = TaskTracker::new();
    let stop = stopped(&tasks)?;
    let metrics = Arc::new(Metrics::default());
    let (client, namespace) = client(&metrics).await?;
    let caches = Arc::new(Caches::default());
    let watches = Watches {
        client: client.clone(),
        caches: Arc::clone(&caches),
        metrics: Arc::clone(&metrics),
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    let pulse = Pulse::default();
    let health = Health { pulse: pulse.clone(), caches: Arc::clone(&caches), metrics: Arc::clone(&metrics) };
    serve(&run, health, &tasks, &stop).await?;

    let resources: Vec<Resources> = run.scopes().iter().map(|scope| watches.resources(scope)).collect();
    for kind in kinds() {
        for resources in &resources {
            watches.owned(kind.clone(), resources);
        }
    }
    let known = Arc::new(KnownKinds::default());
    known.ask(&watches, &resources).await;
    let (discovery, scopes) = (Arc::clone(&known), resources.clone());
    let asks = async move { discovery.keep_asking(&watches, &scopes).await };
    tasks.spawn(stop.clone().run_until_cancelled_owned(asks));

    let identity = identity(&run);
    let lease_namespace = run.lease_namespace.clone().unwrap_or(namespace);
    let candidate =
        Candidate::new(Api::namespaced(client.clone(), &lease_namespace), &run.lease_name, &identity);
    let term = candidate.term();
    // The lease is given back only once nothing is written any more.
    let resign = CancellationToken::new();
    tasks.spawn(candidate.run(resign.clone()));

    let memories = Arc::new(Memories::default());
    let pods = Pods::new(Arc::clone(&metrics))
        .map_err(|error| Failure::unavailable("no HTTP client can be made", error))?;
    let reconciler = Reconciler {
        fetcher: Fetcher { client: client.clone(), caches, pods },
        writer: Writer {
            client: client.clone(),
            term: term.clone(),
            stop: stop.clone(),
            metrics: Arc::clone(&metrics),
        },
        events: Events::new(client, &identity),
        memories: Arc::clone(&memories),
        kinds: known,
        facts: facts(&run),
    };
    let turns = Semaphore::new(usize::from(run.concurrency));
    let waits = std::sync::Mutex::new(HashMap::new());
    tracing::info!(identity, version = env!("CARGO_PKG_VERSION"), namespaces = ?run.namespaces, "the operator has started");
    Controller { reconciler, memories, resources, term, stop, metrics, pulse, turns, waits }.run().await;
    resign.cancel();
    tasks.close();
    let ended = timeout(FAREWELL, tasks.wait()).await;
    tracing::info!(clean = ended.is_ok(), "the operator has ended");
    Ok(())
}

/// Counts its requests, and tries nothing again by itself: whoever asked looks at the lease first.
async fn client(metrics: &Arc<Metrics>) -> Result<(Client, String), Failure> {
    let config = Config::infer().await;
    let mut config =
        config.map_err(|error| Failure::settings("it is not known where the API server is", error))?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    let namespace = config.default_namespace.clone();
    let builder = ClientBuilder::try_from(config);
    let builder =
        builder.map_err(|error| Failure::settings("the way to the API server is not usable", error))?;
    let client = builder.with_layer(&CountRequests(Arc::clone(metrics))).build();
    let version = timeout(REACHED, client.apiserver_version()).await;
    let version = version
        .map_err(|_| Failure::unavailable("the API server does not answer", "within 10 s"))?
        .map_err(|error| Failure::unavailable("the API server cannot be asked", error))?;
    tracing::info!(version = version.git_version, "reached the API server");
    Ok((client, namespace))
}

async fn serve(
    run: &Run,
    health: Health,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(run.health_addr).await;
    let what = || format!("{} cannot be listened on", run.health_addr);
    let listener = listener.map_err(|error| Failure::unavailable(what(), error))?;
    let serving =
        axum::serve(listener, routes(health)).with_graceful_shutdown(stop.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the health server has ended");
        }
    });
    Ok(())
}

/// A pod's name is of one process at a time; anything else gets a name that nobody else has.
fn identity(run: &Run) -> String {
    let given = run.identity.clone().filter(|given| !given.is_empty());
    given.unwrap_or_else(|| {
        let mut bytes = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
        format!("presence-operator-{:016x}", u64::from_ne_bytes(bytes))
    })
}

/// What is so of the operator itself, and of its cluster.
fn facts(run: &Run) -> Facts {
    let operator = run.lease_namespace.clone().filter(|_| !run.pod_labels.is_empty());
    let operator = operator
        .map(|namespace| OperatorPods { namespace, labels: run.pod_labels.iter().cloned().collect() });
    let host = std::env::var("KUBERNETES_SERVICE_HOST").unwrap_or_default();
    Facts { operator, family: Family::of_service_host(&host), ..Facts::default() }
}

fn stopped(tasks: &TaskTracker) -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let hear = |kind| signal(kind).map_err(|error| Failure::unavailable("signals cannot be heard", error));
    let (mut term, mut int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    let heard = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            biased;
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("told to stop");
        heard.cancel();
    });
    Ok(stop)
}
