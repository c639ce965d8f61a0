//! `public`, `native`, `socketio`: where agents come in.

use serde::Serialize;

use crate::crd::{Identity, NativeDoor, PresenceClusterSpec};

#[derive(Serialize)]
pub(super) struct Public {
    addr: String,
    origins: Vec<String>,
    trusted_proxies: Option<Vec<String>>,
    max_connections: Option<i32>,
}

pub(super) fn public(spec: &PresenceClusterSpec, addr: String) -> Public {
    let doors = &spec.doors;
    // Without any, the server admits pages of its own host alone; the spec promises any page.
    let origins = if doors.origins.is_empty() { vec!["*".to_owned()] } else { doors.origins.clone() };
    let proxies = &doors.trusted_proxies;
    Public {
        addr,
        origins,
        trusted_proxies: (!proxies.is_empty()).then(|| proxies.clone()),
        max_connections: doors.max_connections,
    }
}

#[derive(Serialize)]
pub(super) struct Native {
    enabled: Option<bool>,
    queue_bytes: Option<i32>,
    frames_per_second: Option<i32>,
    max_message: Option<i32>,
}

pub(super) fn native(of: &NativeDoor) -> Native {
    Native {
        enabled: (!of.enabled).then_some(false),
        queue_bytes: of.queue_bytes,
        frames_per_second: of.frames_per_second,
        max_message: of.max_message,
    }
}

#[derive(Serialize)]
pub(super) struct SocketIo {
    enabled: bool,
    identity: &'static str,
    max_payload: Option<i32>,
    max_polling: Option<i32>,
    seats: Option<i32>,
}

pub(super) fn socketio(spec: &PresenceClusterSpec) -> SocketIo {
    let door = &spec.doors.socketio;
    SocketIo {
        enabled: door.enabled.unwrap_or(spec.redis.is_some()),
        identity: match door.identity {
            Identity::Token => "token",
            Identity::Query => "query",
        },
        max_payload: door.max_payload,
        max_polling: door.max_polling,
        seats: door.seats,
    }
}
