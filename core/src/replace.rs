//! Two sockets, one agent, one classroom: what a claim means for whoever held the session before.
//!
//! The store decides id and generation in one atomic statement by these rules; `verdict` reads from its answer what
//! is left to do. See `docs/adr/0002-the-database-is-the-truth.md`.

use crate::{
    ids::{Generation, ReplicaId, SessionId},
    session::Held,
};

/// Who held the key when it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub session_id: SessionId,
    pub generation: Generation,
    pub replica_id: ReplicaId,
}

impl Holder {
    /// What its socket holds, or held.
    pub const fn held(&self) -> Held {
        Held { session_id: self.session_id, generation: self.generation }
    }
}

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody was there: a presence begins, and `entered` says so.
    Fresh,
    /// This replica held it: tell the old socket `replaced`. Same session id, no events.
    ReplaceHere(Holder),
    /// Another replica held it, and may still: ask it to let go, without waiting for long. No events.
    ReplaceThere(Holder),
    /// The session came over whole from a former holder who was letting go: same id, no history, no events.
    Handover(Holder),
}

/// Reads a claim: `session_id` is what the claimer got, `me` its replica, `previous` who held the key before.
pub fn verdict(session_id: SessionId, me: ReplicaId, previous: Option<Holder>) -> Verdict {
    match previous {
        None => Verdict::Fresh,
        Some(holder) if holder.replica_id == me => Verdict::ReplaceHere(holder),
        Some(holder) if holder.session_id == session_id => Verdict::Handover(holder),
        Some(holder) => Verdict::ReplaceThere(holder),
    }
}

impl Verdict {
    /// Whose replica is to be asked to let go of the old socket, if it still has one.
    pub const fn asks(&self) -> Option<Holder> {
        match self {
            Self::ReplaceThere(holder) | Self::Handover(holder) => Some(*holder),
            Self::Fresh | Self::ReplaceHere(_) => None,
        }
    }

    /// Whether the classroom is told that somebody entered. A replaced agent never left, so it never enters.
    pub const fn announces(&self) -> bool {
        matches!(self, Self::Fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: ReplicaId = ReplicaId(1);
    const OTHER: ReplicaId = ReplicaId(2);

    fn held(session_id: i64, replica_id: ReplicaId) -> Holder {
        Holder { session_id: SessionId(session_id), generation: Generation(3), replica_id }
    }

    #[test]
    fn only_a_fresh_claim_is_announced() {
        let cases = [
            (None, true),
            (Some(held(7, ME)), false),
            (Some(held(7, OTHER)), false),
            (Some(held(6, OTHER)), false),
        ];
        for (previous, announced) in cases {
            assert_eq!(verdict(SessionId(7), ME, previous).announces(), announced, "{previous:?}");
        }
    }

    #[test]
    fn the_same_id_from_elsewhere_is_a_handover() {
        assert!(matches!(verdict(SessionId(7), ME, Some(held(7, OTHER))), Verdict::Handover(_)));
        assert!(matches!(verdict(SessionId(7), ME, Some(held(6, OTHER))), Verdict::ReplaceThere(_)));
        assert!(matches!(verdict(SessionId(7), ME, Some(held(7, ME))), Verdict::ReplaceHere(_)));
    }
}
