//! What a client or a sibling can ask for, one verb a file. Flows see the core and the ports; no door, no adapter.

pub mod admission;
pub mod attendance;
pub mod connect;
pub mod count_agents;
pub mod evict;
pub mod lesson;
pub mod let_go;
pub mod list_agents;
pub mod release;
