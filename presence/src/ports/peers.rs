//! What one replica asks of another: to let go of a socket whose session has moved on.

use super::Fault;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use presence_core::{
    ids::{ReplicaId, SessionKey},
    session::Held,
};
use std::fmt::{self, Debug};

/// Why a socket is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The agent has another socket.
    Replaced,
    /// Somebody with the right to it ends the session: whoever holds it gives it up.
    Evicted,
}

/// Let go of the socket that holds this session under this generation; a later one is not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub key: SessionKey,
    pub held: Held,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The socket hears nothing more of its classroom, and is told.
    LetGo,
    /// There is no such socket here.
    NotHere,
}

impl Answer {
    pub const ALL: [Self; 2] = [Self::LetGo, Self::NotHere];

    /// Its name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LetGo => "let_go",
            Self::NotHere => "not_here",
        }
    }
}

/// An ask from elsewhere, and the way back, which never waits: an answer that finds no room is lost.
pub struct Asked {
    pub ask: Ask,
    pub answer: Box<dyn FnOnce(Answer) + Send>,
}

impl Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("ask", &self.ask).finish_non_exhaustive()
    }
}

/// Contract:
/// - `ask` waits for an answer no longer than 300 ms, and not at all for a replica that is known to be gone. No answer
///   is a fault; the ask may have been heard all the same, or be heard much later, by a replica that slept. It may be
///   repeated.
/// - `asked` brings what is asked of this replica for as long as it is polled, over reconnects too, and may be called
///   while nobody can be reached. Whoever asks while nobody listens, or faster than is heard, gets no answer. What is no
///   ask is counted and skipped.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    async fn ask(&self, replica: ReplicaId, ask: &Ask) -> Result<Answer, Fault>;
    async fn asked(&self, me: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault>;
}
