//! The objects that ought to be of a resource: what their revision hangs on, that they fit each other, and that the API
//! server would keep them as they are.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails like a test")]

mod fixture;
mod golden;
mod objects;
mod refused;
mod revision;
mod settings;
