//! What an agent's conduct is told, and what it answers.

use presence_api::frames::Resume;

/// Milliseconds since the swarm began.
pub(crate) type Millis = u64;
/// A server, by its number in the directory.
pub(crate) type ServerId = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The moment that `due` named has come.
    Due,
    /// Something about a socket; of one that is gone already it changes nothing.
    On(u64, News),
    /// Something that its owner wants; what cannot be done now is not done.
    Do(Deed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Entered {
        session_id: i64,
        seq: u64,
        resumed: bool,
    },
    Resync {
        seq: u64,
    },
    /// Go elsewhere, not before this; the socket stays open.
    Terminated {
        after: Millis,
    },
    /// A close follows; come back not before this.
    Error {
        after: Option<Millis>,
    },
    /// The code of the server's close frame, or none: it broke, or never came about.
    Ended {
        code: Option<u16>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Enter,
    /// Two sockets at once: a race.
    EnterTwice,
    /// Closes cleanly, and comes back as a stranger after a pause.
    Leave {
        pause: Millis,
    },
    /// Closes cleanly and connects in the same moment, with or without what it knew.
    Reload {
        remembers: bool,
    },
    /// Drops its sockets without a word, and comes back after a pause.
    Vanish {
        pause: Millis,
    },
    /// Connects a second time while it is in.
    Double,
    /// Closes everything, for good.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Connect, to any server but `avoid` if there is another one.
    Open { socket: u64, resume: Option<Resume>, avoid: Option<ServerId> },
    /// Say good-bye, and read on until the server has said it too.
    Close(u64),
    /// End it without a word.
    Drop(u64),
}
