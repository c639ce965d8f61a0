//! A history: what everybody who took part saw, in one file of JSON lines; what the checker judges.
//!
//! Agents write what they asked and what they were told, a witness what was on the bus, a reader what the database
//! held in the end, a saboteur what it did. Times are microseconds on one wall clock. Nobody writes what he does not
//! know: an attempt without an answer is `unknown`, and may have happened or not.
//!
//! The lines of one actor stand in the order in which he saw things; those of different actors compare by time alone.
//! A witness and a reader tell all that there is of the classrooms that they write about, and nothing of others.

use crate::{event::EventId, frames::Resume};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was begun; of what just happened, the same as `at`.
    pub began: i64,
    /// When it was over, or known.
    pub at: i64,
    /// Who writes: one name for each line of conduct, as one client through all its sockets.
    pub actor: String,
    #[serde(flatten)]
    pub act: Act,
}

/// Whose presence it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub agent_id: String,
    pub classroom_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Act {
    /// An agent asked to enter, on a socket of its own. Sockets of one actor are numbered; it may have several.
    Connect {
        socket: u64,
        #[serde(flatten)]
        key: Key,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
        outcome: Outcome,
    },
    /// An agent heard an event. It writes what the event itself says; receiver and sender it need not know, and the
    /// classroom, where the event does not name one, is the one that it is in.
    Heard {
        socket: u64,
        seq: u64,
        id: EventId,
        #[serde(flatten)]
        about: About,
    },
    /// An agent got the state instead of the events that it missed; `seq` is the snapshot's.
    Resync { socket: u64, seq: u64, agents_total: u64 },
    /// An agent was told how its socket ends, or that it is to go elsewhere: `reason` is a name of the close table.
    Told {
        socket: u64,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_after_ms: Option<u64>,
    },
    /// A socket is over for its agent.
    Closed {
        socket: u64,
        by: Side,
        /// The close frame's code; none where there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
    },
    /// An event is on the bus's stream. `at` is the time that the stream gave it, not when the witness read it. Internal
    /// events, which nobody hears, are left out.
    Published {
        seq: u64,
        id: EventId,
        #[serde(flatten)]
        about: About,
    },
    /// The witness knows all that is on the stream from `first` to `last`. A stream that was made anew, or that lost its
    /// beginning, takes several. Without any such line he knows everything.
    Witnessed { first: u64, last: u64 },
    /// A session was live in the database at this moment.
    Live {
        session_id: i64,
        #[serde(flatten)]
        key: Key,
        generation: i64,
        replica: String,
        started_at: i64,
    },
    /// A stay was in the history at this moment.
    Ended {
        session_id: i64,
        #[serde(flatten)]
        key: Key,
        started_at: i64,
        ended_at: i64,
    },
    /// An event still waited to be published at this moment.
    Waiting {
        session_id: i64,
        operation: String,
        #[serde(flatten)]
        key: Key,
    },
    /// The reader is through: his lines since his last such line are all that the database held at this moment (best
    /// read in one transaction). Several make several dumps; without any such line, all his lines are one dump.
    Dumped { live: u64, ended: u64, waiting: u64 },
    /// A classroom app was let in by the Socket.IO door. Where it joins a lesson, that is a `Connect` of the same socket.
    Admitted {
        socket: u64,
        user_id: String,
        org_id: String,
        /// `teacher`, `student`, `manager` or `teacher_hub`.
        kind: String,
        /// The socket's id, as others see it.
        sid: String,
    },
    /// An app said `log_out`, and was acknowledged.
    LoggedOut { socket: u64 },
    /// A key of the lesson state at this moment, without a site's prefix. Of a plain value the field has no name.
    Kept {
        name: String,
        fields: BTreeMap<String, String>,
        /// In seconds; none: it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in: Option<i64>,
    },
    /// The reader of the lesson state is through: his lines since his last such line are all the keys that there were.
    KeptAll { keys: u64 },
    /// The saboteur did something to somebody, and it lasted from `began` to `at`: `kill`, `stop` (until continued),
    /// `cut`, `silence`, `slow`, `wipe`, `stall` (a client does not read), … `whom` is a replica's label or an actor's
    /// name where it concerns that one alone; anything else (`nats`, `postgres`, a link) concerns everybody.
    Fault { what: String, whom: String },
    /// Whatever was to be done was done; from `began` to `at` nothing happened any more. What is eventual holds by now.
    Quiet {},
}

/// What became of a connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    Entered {
        session_id: i64,
        seq: u64,
        resumed: bool,
        /// Its label; empty where the door does not say it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        replica: String,
        agents_total: u64,
    },
    /// It was refused, for this reason of the close table.
    Refused { reason: String },
    /// No answer: it may have happened.
    Unknown { why: String },
}

/// What an event says, as far as presence is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The classroom that it was said in.
    pub classroom_id: String,
    /// Of ours: whom it is about. Of others: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whom it was for; none: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Who said it, if that is known; it does not hear it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
}

/// Who ended a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The client closed it, with a close frame.
    Client,
    /// The server did, with a close frame.
    Server,
    /// It broke, or the client dropped it without a word.
    Broken,
}
