//! What goes wrong between us and NATS, in words that name no secret.

use crate::ports::{Fault, Source};
use async_nats::jetstream::context::RequestError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {reason}")]
    Options { what: &'static str, reason: String },
    #[error("not connected to NATS: {reason}")]
    NotConnected { reason: String },
    #[error("NATS did not answer in time")]
    TimedOut,
    #[error("NATS server {found} is too old: 2.12 or later is needed")]
    OldServer { found: String },
    #[error("stream {stream} does not exist")]
    NoStream { stream: String },
    #[error("stream {stream} cannot be used, its settings must change: {problems}")]
    Unfit { stream: String, problems: String },
    #[error("NATS refused {settings} for stream {stream}: {reason}")]
    Refused { stream: String, settings: String, reason: String },
    #[error("an answer of NATS came with a hole in it")]
    Torn,
    #[error("the replica of the stream that answered lags behind")]
    Lagging,
    #[error("NATS answered: {reason}")]
    Answered { reason: String },
}

impl Error {
    pub(super) fn answered(reason: impl Into<Source>) -> Self {
        Self::Answered { reason: reason.into().to_string() }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        use async_nats::jetstream::context::RequestErrorKind as Kind;
        match error.kind() {
            Kind::TimedOut => Self::TimedOut,
            Kind::NoResponders => Self::answered("JetStream is not there, or not allowed"),
            Kind::InvalidSubject | Kind::Other => Self::answered(error),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        const WHAT: &str = "the event bus";
        match error {
            Error::NotConnected { .. }
            | Error::TimedOut
            | Error::NoStream { .. }
            | Error::Torn
            | Error::Lagging
            | Error::Answered { .. } => Self::unavailable(WHAT, error),
            Error::Options { .. } | Error::OldServer { .. } | Error::Unfit { .. } | Error::Refused { .. } => {
                Self::failed(WHAT, error)
            }
        }
    }
}
