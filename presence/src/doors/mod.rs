//! Where the world comes in. Doors parse, call one flow, and render; they hold no policy and name no adapter.

pub mod admission;
pub mod gate;
pub mod health;
pub mod http;
pub mod internal;
pub mod native;
mod openapi;
pub mod socketio;
pub mod websocket;
