//! The OpenAPI document of the internal port: `docs/openapi-internal.json` is this.

use super::{__path_delete_session, admin};
use crate::doors::openapi::{add, bodies, document as of};
use presence_api::{
    admin::{Accepting, ShedRequest, Stats},
    http::{DeleteRequest, DeleteResponse, Problem},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "presence, internal",
        description = "For sibling services and operators. Errors are RFC 9457 problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        version = "1"
    ),
    paths(delete_session, admin::stats, admin::drain, admin::undrain, admin::shed, admin::accepting),
    tags(
        (name = "sessions", description = "Ending a session"),
        (name = "replica", description = "How this replica is operated"),
    )
)]
struct Paths;

/// The document.
pub fn document() -> Value {
    of::<Paths>(("secret", json!({"type": "http", "scheme": "bearer"})), schemas())
}

fn schemas() -> Map<String, Value> {
    let mut bodies = bodies();
    add::<Problem>(&mut bodies);
    add::<Stats>(&mut bodies);
    add::<ShedRequest>(&mut bodies);
    add::<Accepting>(&mut bodies);
    add::<DeleteRequest>(&mut bodies);
    add::<DeleteResponse>(&mut bodies);
    bodies.take_definitions(true)
}
