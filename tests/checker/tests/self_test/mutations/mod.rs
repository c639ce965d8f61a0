//! Ways to spoil a good history. Each finds the places where it does harm by construction (one that would do none there
//! is not made), and names the invariants that must notice.

mod hearing;
mod owning;
mod publishing;
mod rows;
mod sockets;

use crate::view::{Patch, View};
use presence_checker::Invariant;

/// How to spoil a history, one patch for each place.
pub(crate) type Spoiled = Vec<Patch>;

pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// All of these must notice.
    pub(crate) aims: &'static [Invariant],
    pub(crate) spoil: fn(&View<'_>) -> Spoiled,
}

pub(crate) fn all() -> impl Iterator<Item = &'static Mutation> {
    [hearing::ALL, sockets::ALL, publishing::ALL, rows::ALL, owning::ALL].into_iter().flatten()
}
