//! What a client or a sibling can ask for, one verb a file. Flows see the core and the ports; no door, no adapter.

pub mod connect;
pub mod release;
