//! Whether a token's claims hold now, and who they name. Pure: the moment and the rules are arguments.

use super::token::Claims;
use crate::ports::authn::{Error, Identity};
use presence_core::{ids::Audience, time::UnixMicros};

/// The longest allowance for clocks that disagree.
pub const MAX_LEEWAY_SECONDS: u32 = 60;

const MICROS: i64 = 1_000_000;

/// What one issuer's claims are held against.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The `iss` that must be there; `None`: any, or none.
    pub(super) issuer: Option<String>,
    pub(super) leeway: u32,
}

/// Who the token names, if its claims hold. Worth nothing until the signature is checked too.
pub(super) fn judge(
    claims: &Claims,
    audience: &Audience,
    rules: &Rules,
    now: UnixMicros,
) -> Result<Identity, Error> {
    if rules.issuer.is_some() && claims.iss != rules.issuer {
        return Err(Error::Rejected("issuer"));
    }
    let leeway = i64::from(rules.leeway) * MICROS;
    let expires = claims.exp.0 * MICROS;
    if now.0 >= expires + leeway {
        return Err(Error::Rejected("expired"));
    }
    let latest_start = now.0.saturating_add(leeway);
    if claims.nbf.is_some_and(|nbf| nbf.0 * MICROS > latest_start) {
        return Err(Error::Rejected("not yet valid"));
    }
    if claims.iat.is_some_and(|iat| iat.0 * MICROS > latest_start) {
        return Err(Error::Rejected("issued in the future"));
    }
    Ok(Identity {
        account: claims.sub.parse().map_err(|_| Error::Rejected("subject"))?,
        audience: audience.clone(),
        expires: UnixMicros(expires),
        classrooms: claims.classrooms.clone(),
        org_id: claims.org_id.clone(),
        role: claims.role.clone(),
    })
}
