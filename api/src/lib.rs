//! What presence, its clients, its operator and its tests say to each other. Data, no logic.
//!
//! `frames` is the native door's wire, `lesson` what is said at the Socket.IO door, `event` what travels on NATS and to
//! every door, `http` the public and internal APIs, `admin` the part of the latter that operates a replica, `history` what
//! a run of many clients leaves behind. JSON Schema comes out of these types (`docs/protocol.schema.json`).

pub mod admin;
pub mod event;
pub mod frames;
pub mod history;
pub mod http;
pub mod lesson;
