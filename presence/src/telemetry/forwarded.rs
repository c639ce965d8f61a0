//! How requests of Socket.IO clients end that reach a replica which does not hold their connection.

/// How a request for a connection that another replica holds ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// The owner answered.
    Answered,
    /// The owner answered an upgrade: a tunnel leads to it.
    Tunnelled,
    /// Nobody knows an owner that lives.
    Gone,
    /// The owner takes no connection.
    Unreachable,
    /// Who answers there does not let us in, or is not the owner.
    Refused,
    /// No whole answer came, or none in time.
    Unanswered,
    /// This replica lets go, and begins no tunnel.
    Draining,
}

impl Forwarded {
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Tunnelled,
        Self::Gone,
        Self::Unreachable,
        Self::Refused,
        Self::Unanswered,
        Self::Draining,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Tunnelled => "tunnelled",
            Self::Gone => "gone",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Draining => "draining",
        }
    }
}
