//! The server's settings, `presence.yaml`, from the spec. Only what the spec says or what differs from the server's own
//! defaults is written, in the words of docs/config.schema.json. A secret is never in it: its file is.

mod backing;
mod doors;
mod trust;

use serde::Serialize;
use serde_json::Value;

use super::{
    canonical,
    mounts::Mounts,
    names::{INTERNAL, METRICS, Owner, PUBLIC},
    yaml,
};
use crate::{crd::Period, facts::Family};

/// Where the server may write: what it makes for itself, which is next to nothing.
pub(super) const DATA_DIR: &str = "/var/lib/presence";
pub(super) const FOLDER: &str = "/etc/presence";
pub(super) const FILE: &str = "presence.yaml";

#[derive(Serialize)]
struct Settings {
    data_dir: &'static str,
    public: doors::Public,
    internal: Internal,
    metrics: Listener,
    store: backing::Store,
    bus: backing::Bus,
    redis: Option<backing::Redis>,
    analytics: Option<backing::Analytics>,
    auth: trust::Auth,
    native: doors::Native,
    socketio: doors::SocketIo,
    session: Session,
    log: Log,
    telemetry: Option<Telemetry>,
}

#[derive(Serialize)]
struct Listener {
    addr: String,
}

#[derive(Serialize)]
struct Internal {
    addr: String,
    secret_file: String,
    accepted_secret_file: String,
}

#[derive(Serialize)]
struct Session {
    leave_grace: Period,
    drain_timeout: Period,
    drain_rate: i32,
    lease_ttl: Period,
    lease_renew: Period,
    return_window: Period,
}

#[derive(Serialize)]
struct Log {
    format: &'static str,
    level: String,
}

#[derive(Serialize)]
struct Telemetry {
    otlp_endpoint: String,
}

/// The text of the file, and the files that it names.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) text: String,
    pub(super) mounts: Mounts,
}

pub(super) fn configuration(owner: Owner<'_>, family: Family) -> Configuration {
    let spec = &owner.of.spec;
    let mut mounts = Mounts::default();
    let (secret_file, accepted_secret_file) = mounts.internal(owner.name);
    let settings = Settings {
        data_dir: DATA_DIR,
        public: doors::public(spec, listen(family, PUBLIC.1)),
        internal: Internal { addr: listen(family, INTERNAL.1), secret_file, accepted_secret_file },
        metrics: Listener { addr: listen(family, METRICS.1) },
        store: backing::store(&spec.database, &mut mounts),
        bus: backing::bus(&spec.nats, &mut mounts),
        redis: spec.redis.as_ref().map(|redis| backing::redis(redis, &mut mounts)),
        analytics: spec.analytics.as_ref().map(|analytics| backing::analytics(analytics, &mut mounts)),
        auth: trust::auth(&spec.auth, &mut mounts),
        native: doors::native(&spec.doors.native),
        socketio: doors::socketio(spec),
        session: Session {
            leave_grace: spec.timings.leave_grace,
            drain_timeout: spec.drain.deadline,
            drain_rate: spec.drain.agents_per_second,
            lease_ttl: spec.timings.lease_ttl,
            lease_renew: spec.timings.lease_renew,
            return_window: spec.timings.return_window,
        },
        log: Log { format: "json", level: spec.monitoring.log_level.clone() },
        telemetry: spec.monitoring.otlp_endpoint.clone().map(|otlp_endpoint| Telemetry { otlp_endpoint }),
    };
    let mut value: Value = serde_json::to_value(settings).expect("settings are JSON");
    canonical::drop_nulls(&mut value);
    let sections = value.as_object_mut().expect("settings are a mapping");
    sections.retain(|_, section| section.as_object().is_none_or(|keys| !keys.is_empty()));
    Configuration { text: yaml::document(&value), mounts }
}

/// Every address of the family that pods have here. `[::]` would do for both, but not on nodes whose kernel has no IPv6.
fn listen(family: Family, port: i32) -> String {
    match family {
        Family::Ipv4 => format!("0.0.0.0:{port}"),
        Family::Ipv6 => format!("[::]:{port}"),
    }
}
