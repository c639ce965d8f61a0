//! What the OpenAPI documents of both ports have in common: paths from the handlers, bodies from the types that they send,
//! one way to prove oneself.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// The document of these paths. `scheme` is named by what callers show as a bearer.
pub(super) fn document<Paths: OpenApi>(scheme: (&str, Value), bodies: Map<String, Value>) -> Value {
    let (name, scheme) = scheme;
    let mut document =
        serde_json::to_value(Paths::openapi()).expect("the document is made of text and numbers");
    document["components"]["schemas"] = bodies.into();
    document["components"]["securitySchemes"] = json!({ name: scheme });
    document["security"] = json!([{ name: [] }]);
    document
}

/// Describes bodies by the same means as frames and settings.
pub(super) fn bodies() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

pub(super) fn add<T: JsonSchema>(bodies: &mut SchemaGenerator) {
    // Only the definition that this leaves behind is wanted, not the reference to it.
    let _ = bodies.subschema_for::<T>();
}
