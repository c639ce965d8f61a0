//! The OpenAPI document: paths from the handlers, bodies from the types that they send. `docs/openapi.json` is this.

use super::{agents, attendance};
use crate::doors::openapi::{add, bodies, document as of};
use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use presence_api::http::{Agent, Attendance, Counters, CountersRequest, Problem};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "presence",
        description = "Who is in the classroom, now and afterwards. Errors are RFC 9457 problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        version = "1"
    ),
    paths(agents::list, attendance::get, agents::count),
    tags((name = "classrooms", description = "Who is present in a classroom, and who was"))
)]
struct Paths;

/// The document.
pub fn document() -> Value {
    let scheme = json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"});
    of::<Paths>(("token", scheme), schemas())
}

fn schemas() -> Map<String, Value> {
    let mut bodies = bodies();
    add::<Problem>(&mut bodies);
    add::<Attendance>(&mut bodies);
    add::<CountersRequest>(&mut bodies);
    let agents = bodies.subschema_for::<Vec<Agent>>();
    let counters = bodies.subschema_for::<Counters>();
    let mut schemas = bodies.take_definitions(true);
    schemas.insert("Agents".into(), agents.to_value());
    schemas.insert("Counters".into(), counters.to_value());
    schemas
}

pub(super) async fn get() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string()).as_str();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
