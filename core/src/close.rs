//! THE table of how a socket ends: reason, close code, whether to come back, and the words the client reads.
//!
//! One row here feeds the frames, the close frame, metrics labels, `docs/ERRORS.md` and the client libraries.
//! Codes 4000–4499 mean "connect again", 4500–4999 "do not"; below that they are RFC 6455's own.

/// The kind of frame that goes before the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// `unrecoverable_session_error`, as existing clients know it.
    Unrecoverable,
    /// `recoverable_session_error`: connect again, after `reconnect_after_ms` where it is given.
    Recoverable,
    /// The close frame alone.
    None,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// `payload.type` of the frame, and the metrics label.
    pub name: &'static str,
    pub title: &'static str,
    /// `payload.status` of the frame.
    pub status: u16,
    /// The WebSocket close code.
    pub code: u16,
    pub frame: Frame,
    /// What it means and what to do, for `docs/ERRORS.md`.
    pub meaning: &'static str,
}

macro_rules! table {
    ($($reason:ident => $name:literal, $title:literal, $status:literal, $code:literal, $frame:ident, $meaning:literal;)+) => {
        /// Why a socket is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = $meaning] $reason,)+ }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$reason,)+];

            pub const fn row(self) -> Row {
                match self {
                    $(Self::$reason => Row {
                        name: $name, title: $title, status: $status, code: $code,
                        frame: Frame::$frame, meaning: $meaning,
                    },)+
                }
            }
        }
    };
}

table! {
    UnsupportedRequest => "unsupported_request", "Unsupported request", 422, 4500, Unrecoverable,
        "The first frame was not a `connect_request` in text.";
    SerializationFailed => "serialization_failed", "Serialization failed", 422, 4501, Unrecoverable,
        "The first frame was not JSON, or a field is missing, empty or outside its grammar; `detail` names it.";
    Unauthenticated => "unauthenticated", "Unauthenticated", 401, 4502, Unrecoverable,
        "The token is not one this service trusts for now. Get another one.";
    AccessDenied => "access_denied", "Access denied", 403, 4503, Unrecoverable,
        "The token is good, but not for this classroom.";
    InternalServerError => "internal_server_error", "Internal server error", 500, 4504, Unrecoverable,
        "A fault of the server; its log has the details.";
    AuthTimedOut => "auth_timed_out", "Auth timed out", 422, 4505, Unrecoverable,
        "No `connect_request` came in time.";
    Replaced => "replaced", "Replaced", 422, 4506, Unrecoverable,
        "The same agent connected to the same classroom again: this socket is the old one.";
    PongTimedOut => "pong_timed_out", "Pong timed out", 422, 4000, Unrecoverable,
        "No pong came in time. The frame's type is kept for existing clients; the code says to connect again.";
    Terminated => "terminated", "terminated", 422, 4001, Recoverable,
        "This replica is letting go of its sockets. Connect again, then close this one.";
    TokenExpired => "token_expired", "Token expired", 401, 4002, Recoverable,
        "The token's time is over. Connect again with a new one.";
    SlowConsumer => "slow_consumer", "Slow consumer", 422, 4003, Recoverable,
        "The client reads slower than the classroom speaks. Connect again and resume.";
    Overloaded => "overloaded", "Overloaded", 503, 4004, Recoverable,
        "The service cannot take the session now. Connect again after `reconnect_after_ms`.";
    SessionLost => "session_lost", "Session lost", 503, 4005, Recoverable,
        "The session ended while its socket was open: this replica was cut off for too long, or the store lost it. \
         Connect again.";
    Normal => "normal", "Closed", 200, 1000, None,
        "The client closed, and the server answers in kind.";
    ProtocolError => "protocol_error", "Protocol error", 400, 1002, None,
        "The client broke RFC 6455.";
    InvalidPayload => "invalid_payload", "Invalid payload", 400, 1007, None,
        "A text frame was not UTF-8.";
    PolicyViolation => "policy_violation", "Policy violation", 429, 1008, None,
        "More frames than a client has reason to send.";
    MessageTooBig => "message_too_big", "Message too big", 413, 1009, None,
        "A message longer than allowed: 16 KiB before `connect_success`, 64 KiB after it.";
    Lost => "lost", "Lost", 400, 1006, None,
        "The connection broke without a close frame. The code is never sent.";
}

impl Reason {
    /// Whether a client should connect again by itself.
    pub const fn reconnect(self) -> bool {
        matches!(self.row().code, 4000..=4499 | 1006)
    }

    /// Whether the client broke the rules of the wire, so that nothing sensible can follow from it.
    pub const fn is_violation(self) -> bool {
        matches!(
            self,
            Self::ProtocolError | Self::InvalidPayload | Self::PolicyViolation | Self::MessageTooBig
        )
    }

    /// Between how many milliseconds from now a client should come back, so that not all come at once.
    pub const fn reconnect_window(self) -> Option<(u64, u64)> {
        match self {
            Self::Terminated | Self::TokenExpired | Self::SessionLost => Some((0, 1_000)),
            Self::SlowConsumer => Some((500, 3_000)),
            Self::Overloaded => Some((1_000, 5_000)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_codes_are_unique() {
        let names: HashSet<_> = Reason::ALL.iter().map(|r| r.row().name).collect();
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.row().code).collect();
        assert_eq!((names.len(), codes.len()), (Reason::ALL.len(), Reason::ALL.len()));
    }

    #[test]
    fn a_recoverable_frame_always_has_a_code_that_says_reconnect() {
        for reason in Reason::ALL {
            if reason.row().frame == Frame::Recoverable {
                assert!(reason.reconnect() && reason.reconnect_window().is_some(), "{reason:?}");
            }
        }
    }

    #[test]
    fn our_codes_lie_in_the_two_ranges() {
        for row in Reason::ALL.iter().map(|r| r.row()) {
            assert!(row.code < 3000 || (4000..5000).contains(&row.code), "{row:?}");
        }
    }
}
