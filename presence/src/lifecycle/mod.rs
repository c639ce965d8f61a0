//! Who runs when: the one home of spawned tasks, the replica's lease, the way to an end.

pub mod drain;
pub mod lease;
pub mod monitor;
pub mod serve;
pub mod shutdown;
pub mod tasks;
