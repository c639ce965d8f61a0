//! The objects that ought to be of a resource: what their revision hangs on, that they fit each other, and that the API
//! server would keep them as they are.

#[path = "desired/fixture.rs"]
mod fixture;
#[path = "desired/golden.rs"]
mod golden;
#[path = "desired/objects.rs"]
mod objects;
#[path = "desired/refused.rs"]
mod refused;
#[path = "desired/revision.rs"]
mod revision;
#[path = "desired/settings.rs"]
mod settings;
