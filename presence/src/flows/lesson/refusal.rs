//! Why an app does not get what it asked for: a row of the table, and words for its developer.

use crate::{
    flows::{admission::Error, connect::Refused},
    ports::Fault,
};
use presence_api::lesson::{Code, Problem};
use presence_core::close::Reason;
use std::borrow::Cow;

/// The log has more; the client gets this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub message: Cow<'static, str>,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    pub fn unavailable() -> Self {
        Self::new(Code::Unavailable, "this cannot be done now; try again")
    }

    pub fn problem(&self) -> Problem {
        Problem { code: self.code.as_str().into(), message: self.message.clone() }
    }

    /// How a socket ends that was not let in for it.
    pub const fn reason(&self) -> Reason {
        match self.code {
            Code::BadRequest | Code::TooLarge | Code::NoAcknowledgement => Reason::SerializationFailed,
            Code::Unauthenticated => Reason::Unauthenticated,
            Code::Forbidden | Code::AccessDenied | Code::AlreadyJoined | Code::LessonNotFound => {
                Reason::AccessDenied
            }
            Code::Replaced => Reason::Replaced,
            Code::Unavailable => Reason::Overloaded,
            Code::InternalServerError => Reason::InternalServerError,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated(why) => {
                tracing::info!(why, "refused a token");
                Self::new(Code::Unauthenticated, "the token is not one this service trusts now")
            }
            Error::Denied => Self::new(Code::AccessDenied, "the token does not admit this"),
            Error::Unavailable(why) => {
                tracing::warn!("{why}");
                Self::unavailable()
            }
            Error::Store(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        tracing::warn!(error = &fault as &dyn std::error::Error, "serve a classroom app");
        match fault {
            Fault::Unavailable { .. } => Self::unavailable(),
            Fault::Failed { .. } => Self::new(Code::InternalServerError, "a fault of the server"),
        }
    }
}

/// A session that was not to be had.
impl From<Refused> for Refusal {
    fn from(Refused(reason): Refused) -> Self {
        match reason {
            Reason::Replaced => {
                Self::new(Code::Replaced, "the same user joined this lesson from elsewhere at this moment")
            }
            Reason::Unauthenticated => Self::new(Code::Unauthenticated, reason.row().title),
            Reason::AccessDenied => Self::new(Code::AccessDenied, reason.row().title),
            reason if reason.reconnect() => Self::unavailable(),
            _ => Self::new(Code::InternalServerError, "a fault of the server"),
        }
    }
}
