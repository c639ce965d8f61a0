//! What becomes of those who knock at a door: refused, or helped to another way in. Closed sets, for metrics' labels.

/// Why a socket was not even let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its page is not one of `public.origins`.
    Origin,
    /// Too many without a session from one address.
    AddressCap,
    /// Too many without a session.
    TotalCap,
    /// Too many connections.
    Limit,
    /// Too many clients that poll.
    PollingCap,
    /// This replica lets go of its sockets.
    Draining,
}

impl Refusal {
    pub const ALL: [Self; 6] =
        [Self::Origin, Self::AddressCap, Self::TotalCap, Self::Limit, Self::PollingCap, Self::Draining];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::AddressCap => "address_cap",
            Self::TotalCap => "total_cap",
            Self::Limit => "limit",
            Self::PollingCap => "polling_cap",
            Self::Draining => "draining",
        }
    }
}

/// How a client's change from polling to a WebSocket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upgrade {
    Done,
    /// Not finished in time, or broken off: polling goes on.
    GivenUp,
}

impl Upgrade {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::GivenUp => "given_up",
        }
    }
}
