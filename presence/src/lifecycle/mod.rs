//! Who runs when: the one home of spawned tasks, the replica's lease, what it holds against what
//! it answers for, the way to an end.

pub mod drain;
pub mod lease;
pub mod lessons;
pub mod monitor;
pub mod reconcile;
pub mod serve;
pub mod shutdown;
pub mod tasks;
