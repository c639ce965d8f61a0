//! What the flows need from the world, one trait a file. Adapters implement them; flows see nothing else.
//!
//! A trait's comment is its contract: what is atomic, what may be repeated, what order holds. The contract suite in
//! `presence/tests/contracts/` runs it against every adapter.

pub mod analytics;
pub mod authn;
pub mod authz;
pub mod bus;
pub mod clock;
pub mod lesson_state;
pub mod lessons;
pub mod notices;
pub mod peers;
pub mod session_store;

/// A fault of something outside: told apart only by whether trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be reached, or has no room now. Whether the work was done is not known.
    #[error("{what} is unavailable")]
    Unavailable { what: &'static str, source: Source },
    /// It answered, and not as agreed. Trying again will not help.
    #[error("{what} failed")]
    Failed { what: &'static str, source: Source },
}

/// Whatever went wrong underneath, for the log.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

impl Fault {
    pub fn unavailable(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }

    pub fn failed(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Failed { what, source: source.into() }
    }
}
