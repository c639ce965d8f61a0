//! presence: who is in the classroom, now and afterwards. The map of this crate is `docs/ARCHITECTURE.md`.

pub mod adapters;
pub mod event;
pub mod ports;
