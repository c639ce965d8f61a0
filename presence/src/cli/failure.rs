//! How a command fails: what is said, and the exit code (as in `sysexits.h`) that says who has to act.

use crate::config;
use std::{error::Error, fmt::Write as _, io};

type Source = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings are wrong: whoever wrote them.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Something that is needed is not to be had now, such as a port or a store.
    #[error("{what}")]
    Unavailable { what: String, source: Source },
    #[error("{what}")]
    Other { what: String, source: Option<Source> },
    #[error("the result cannot be written")]
    Output(#[from] io::Error),
}

impl Failure {
    pub fn unavailable(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Unavailable { what: what.into(), source: source.into() }
    }

    pub fn other(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Other { what: what.into(), source: Some(source.into()) }
    }

    pub fn plain(what: impl Into<String>) -> Self {
        Self::Other { what: what.into(), source: None }
    }

    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::Unavailable { .. } => 69,
            Self::Other { .. } | Self::Output(_) => 1,
        }
    }

    /// All of it in one text: what failed, and why underneath.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}
