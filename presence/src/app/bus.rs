//! Which bus, as the settings say.

use crate::{
    adapters::{
        bus_in_process::{self, InProcessBus},
        bus_nats::{Auth, NatsBus, Options, Servers, StreamOptions, Tls},
        notices_alone::NoNotices,
        peers_alone::NoPeers,
    },
    cli::Failure,
    config::{
        Config,
        bus::{self as settings, BusUrl, EventBody},
        text::Secret,
    },
    event::Body,
    lifecycle::monitor::Poisons,
    ports::{bus::Bus, clock::Clock, notices::Notices, peers::Peers},
    telemetry::Metrics,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::sync::Arc;

pub(super) struct OpenBus {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) notices: Arc<dyn Notices>,
    /// Keeps the bus prepared, where that takes something.
    pub(super) run: Option<BoxFuture<'static, ()>>,
    pub(super) poison: Poisons,
}

pub(super) async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<OpenBus, Failure> {
    let event_body = match config.bus.event_body {
        EventBody::Envelope => Body::Envelope,
        EventBody::Payload => Body::Payload,
    };
    match &config.bus.url {
        BusUrl::InProcess => {
            let options = bus_in_process::Options { event_body, ..bus_in_process::Options::default() };
            let bus = Arc::new(InProcessBus::new(options, &*clock));
            let counted = bus.clone();
            Ok(OpenBus {
                bus,
                peers: Arc::new(NoPeers),
                notices: Arc::new(NoNotices),
                run: None,
                poison: Box::new(move || counted.poison_counts().collect()),
            })
        }
        BusUrl::Nats(servers) => {
            let options = options(config, servers, event_body);
            let bus = NatsBus::connect(options, clock)
                .await
                .map_err(|error| Failure::other("the settings of the bus cannot be used", error))?;
            let (counted, running) = (bus.clone(), bus.clone());
            Ok(OpenBus {
                peers: Arc::new(bus.peers(metrics.peer_garbage.clone())),
                notices: Arc::new(bus.notices(metrics.notice_garbage.clone())),
                bus: Arc::new(bus),
                run: Some(async move { running.run().await }.boxed()),
                poison: Box::new(move || counted.poison_counts().collect()),
            })
        }
    }
}

fn options(config: &Config, servers: &[Secret], event_body: Body) -> Options {
    let bus = &config.bus;
    let client = bus.tls_cert_file.clone().zip(bus.tls_key_file.clone());
    Options {
        servers: Servers(servers.iter().map(|server| server.expose().to_owned()).collect()),
        name: config.replica.label.clone(),
        auth: auth(bus),
        tls: Tls { ca_file: bus.tls_ca_file.clone(), client },
        stream: StreamOptions {
            name: bus.stream.clone(),
            replicas: bus.replicas.into(),
            max_age: bus.max_age.0,
            ..StreamOptions::default()
        },
        event_body,
        ..Options::default()
    }
}

fn auth(bus: &settings::Bus) -> Auth {
    let text = |secret: &Secret| secret.expose().to_owned();
    if let Some(path) = &bus.credentials_file {
        return Auth::CredentialsFile(path.clone());
    }
    if let Some(token) = &bus.token {
        return Auth::Token(text(token));
    }
    match (&bus.user, &bus.password) {
        (Some(user), password) => Auth::UserPassword {
            user: user.clone(),
            password: password.as_ref().map(text).unwrap_or_default(),
        },
        (None, _) => Auth::None,
    }
}
