//! Who is asking: a token becomes an identity, or does not.

use async_trait::async_trait;
use presence_core::{
    ids::{Account, Audience},
    time::UnixMicros,
};
use std::fmt::Debug;

/// A token longer than this is refused unread.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a trusted token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub account: Account,
    pub audience: Audience,
    /// The end of the token's validity; a session does not outlive it.
    pub expires: UnixMicros,
    /// Classrooms, or patterns of them, that the token lists; `None` where it lists none at all.
    pub classrooms: Option<Vec<String>>,
    pub org_id: Option<String>,
    pub role: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is not trusted. The text is for the log and holds nothing of the token.
    #[error("{0}")]
    Rejected(&'static str),
    /// The keys cannot be had now, so nobody can tell.
    #[error("signing keys are unavailable")]
    Unavailable,
}

/// Contract: the algorithm is fixed by the key, never by the token; `exp`, `nbf`, `iss`, `aud` and `sub` are checked;
/// the token's text reaches no log and no error.
#[async_trait]
pub trait Authn: Debug + Send + Sync {
    async fn authenticate(&self, token: &str) -> Result<Identity, Error>;
}
