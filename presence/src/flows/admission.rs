//! Who asks, and whether they may: what every flow begins with.

use crate::{
    deps::Deps,
    ports::{
        Fault, authn,
        authn::Identity,
        authz,
        authz::{Action, Object},
    },
};
use tracing::{Instrument as _, info_span};

/// Why a flow did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is for the log; the caller learns no more than that the token is not trusted.
    #[error("unauthenticated: {0}")]
    Unauthenticated(&'static str),
    #[error("access denied")]
    Denied,
    #[error("{0}")]
    Unavailable(&'static str),
    #[error(transparent)]
    Store(#[from] Fault),
}

impl From<authn::Error> for Error {
    fn from(error: authn::Error) -> Self {
        match error {
            authn::Error::Rejected(why) => Self::Unauthenticated(why),
            authn::Error::Unavailable => Self::Unavailable("signing keys are unavailable"),
        }
    }
}

impl From<authz::Error> for Error {
    fn from(error: authz::Error) -> Self {
        match error {
            authz::Error::Denied => Self::Denied,
            authz::Error::Unavailable => Self::Unavailable("the authorisation service is unavailable"),
        }
    }
}

/// Authenticates the token, and asks whether it admits the action.
pub async fn admit(deps: &Deps, token: &str, action: Action, object: &Object) -> Result<Identity, Error> {
    let identity = authenticate(deps, token).await?;
    authorize(deps, &identity, action, object).await?;
    Ok(identity)
}

pub async fn authenticate(deps: &Deps, token: &str) -> Result<Identity, Error> {
    Ok(deps.authn.authenticate(token).instrument(info_span!("authenticate")).await?)
}

pub async fn authorize(deps: &Deps, who: &Identity, action: Action, object: &Object) -> Result<(), Error> {
    Ok(deps.authz.authorize(who, action, object).instrument(info_span!("authorize")).await?)
}
