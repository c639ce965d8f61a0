//! Ways to spoil a good history. Each finds the places where it does harm by construction (one that would do none there
//! is not made), and names the invariants that must notice.

mod hearing;
mod owning;
mod publishing;
mod rows;
mod sockets;

use crate::view::View;
use presence_api::history::Entry;
use presence_checker::Invariant;

/// Spoiled histories, one for each place.
pub(crate) type Spoiled = Vec<Vec<Entry>>;

pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// All of these must notice.
    pub(crate) aims: &'static [Invariant],
    pub(crate) spoil: fn(&View<'_>) -> Spoiled,
}

pub(crate) fn all() -> impl Iterator<Item = &'static Mutation> {
    [hearing::ALL, sockets::ALL, publishing::ALL, rows::ALL, owning::ALL].into_iter().flatten()
}
