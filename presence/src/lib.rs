//! presence: who is in the classroom, now and afterwards. The map of this crate is `docs/ARCHITECTURE.md`.

pub mod cli;
pub mod config;
pub mod deps;
pub mod doors;
pub mod event;
pub mod flows;
pub mod ports;
pub mod telemetry;
