//! presence: who is in the classroom, now and afterwards. The map of this crate is `docs/ARCHITECTURE.md`.

pub mod adapters;
pub mod app;
pub mod apps;
pub mod cli;
pub mod config;
pub mod conversation;
pub mod crash;
pub mod deps;
pub mod doors;
pub mod engine;
pub mod event;
pub mod feeds;
pub mod flows;
pub mod hub;
pub mod ledger;
pub mod lifecycle;
pub mod ports;
pub mod relay;
pub mod runner;
pub mod telemetry;
pub mod transport;
