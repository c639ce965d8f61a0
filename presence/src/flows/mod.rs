//! What the service does, one verb a file. Doors call flows; flows see ports and the core, never an adapter.

pub mod admission;
pub mod attendance;
pub mod count_agents;
pub mod list_agents;
