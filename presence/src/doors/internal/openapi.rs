//! The OpenAPI document of the internal port: `docs/openapi-internal.json` is this.

use super::{__path_delete_session, admin};
use presence_api::{
    admin::{Accepting, ShedRequest, Stats},
    http::{DeleteRequest, DeleteResponse, Problem},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
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
    let mut document =
        serde_json::to_value(Paths::openapi()).expect("the document is made of text and numbers");
    document["components"]["schemas"] = schemas();
    document["components"]["securitySchemes"] = json!({"secret": {"type": "http", "scheme": "bearer"}});
    document["security"] = json!([{"secret": []}]);
    document
}

fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    add::<Problem>(&mut generator);
    add::<Stats>(&mut generator);
    add::<ShedRequest>(&mut generator);
    add::<Accepting>(&mut generator);
    add::<DeleteRequest>(&mut generator);
    add::<DeleteResponse>(&mut generator);
    Value::Object(generator.take_definitions(true))
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    // Only the definition that this leaves behind is wanted, not the reference to it.
    let _ = generator.subschema_for::<T>();
}
