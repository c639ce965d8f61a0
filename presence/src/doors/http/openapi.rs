//! The OpenAPI document: paths from the handlers, bodies from the types that they send. `docs/openapi.json` is this.

use super::{agents, attendance};
use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use presence_api::http::{Agent, Attendance, Counters, CountersRequest, Problem};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
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
    let mut document =
        serde_json::to_value(Paths::openapi()).expect("the document is made of text and numbers");
    document["components"]["schemas"] = schemas();
    document["components"]["securitySchemes"] =
        json!({"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}});
    document["security"] = json!([{"token": []}]);
    document
}

/// Bodies, described by the same means as frames and settings.
fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    add::<Problem>(&mut generator);
    add::<Attendance>(&mut generator);
    add::<CountersRequest>(&mut generator);
    let agents = generator.subschema_for::<Vec<Agent>>();
    let counters = generator.subschema_for::<Counters>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Agents".into(), agents.to_value());
    schemas.insert("Counters".into(), counters.to_value());
    Value::Object(schemas)
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    // Only the definition that this leaves behind is wanted, not the reference to it.
    let _ = generator.subschema_for::<T>();
}

pub(super) async fn get() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string()).as_str();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
