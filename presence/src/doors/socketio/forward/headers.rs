//! What of a request, and of its answer, goes from one replica to another: only what the other end works with.
//!
//! The shared secret takes the place of the client's `Authorization`, which travels under a name of its own. That name
//! is set here and read behind the secret alone, so a client that sends it is not believed.

use crate::config::text::Secret;
use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Response, Uri,
        header::{
            ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_ACCEPT,
            SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
            UPGRADE,
        },
        request,
    },
};
use presence_core::ids::ReplicaId;

/// The client's `Authorization`, between replicas.
pub(super) const CLIENT_AUTHORIZATION: HeaderName = HeaderName::from_static("presence-client-authorization");
/// Which replica answered: another one may have come to an address since, or something else altogether.
pub(super) const OWNER: HeaderName = HeaderName::from_static("presence-owner");
/// Asks not for an answer to a poll, but that the one that waits is answered now.
pub(super) const RELEASE: HeaderName = HeaderName::from_static("presence-release");
/// Where forwarded requests go.
pub(super) const PATH: &str = "/socket.io/";

/// What of a client's request its connection's owner works with.
const REQUEST: &[HeaderName] = &[ACCEPT, CONTENT_TYPE, ORIGIN];
/// And of one for a WebSocket, besides.
const HANDSHAKE: &[HeaderName] =
    &[SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION];
/// What the answer to that one holds.
const SWITCHED: &[HeaderName] = &[SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL];
/// What concerns the connection between the replicas, or is set anew for the client's.
const OF_ONE_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "presence-owner",
];

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether the client asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
}

/// The request for the owner, without its body; `None` where no address or no header comes out of it.
pub(super) fn outgoing(
    client: &request::Parts,
    address: &str,
    secret: &Secret,
    upgrade: bool,
) -> Option<request::Builder> {
    let query = client.uri.query().unwrap_or_default();
    let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query(format!("{PATH}?{query}"));
    let mut shown = HeaderValue::from_str(&format!("Bearer {}", secret.expose())).ok()?;
    shown.set_sensitive(true);
    let mut request = Request::builder().method(client.method.clone()).uri(uri.build().ok()?);
    let headers = request.headers_mut()?;
    copy(REQUEST, &client.headers, headers);
    for own in client.headers.get_all(AUTHORIZATION) {
        let mut own = own.clone();
        own.set_sensitive(true);
        headers.append(CLIENT_AUTHORIZATION, own);
    }
    headers.insert(AUTHORIZATION, shown);
    if upgrade {
        copy(HANDSHAKE, &client.headers, headers);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
    }
    Some(request)
}

/// Makes of a forwarded request, whose secret was looked at, the one that the client sent.
pub(super) fn restore(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    let own: Vec<_> = headers.get_all(CLIENT_AUTHORIZATION).iter().cloned().collect();
    headers.remove(CLIENT_AUTHORIZATION);
    for value in own {
        headers.append(AUTHORIZATION, value);
    }
}

/// Says that this replica answers.
pub(super) fn sign(mut response: Response<Body>, me: ReplicaId) -> Response<Body> {
    if let Ok(me) = HeaderValue::from_str(&me.to_string()) {
        response.headers_mut().insert(OWNER, me);
    }
    response
}

/// Whether it is this replica that answered.
pub(super) fn is_signed(headers: &HeaderMap, owner: ReplicaId) -> bool {
    headers.get(OWNER).is_some_and(|signed| signed.as_bytes() == owner.to_string().as_bytes())
}

/// Takes away what was between the replicas only.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Also what the owner named as such.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_ONE_HOP {
        headers.remove(name);
    }
}

/// The client's answer to its upgrade, from the owner's.
pub(super) fn switched(owner: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    copy(SWITCHED, owner, &mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
    headers
}

fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}
