//! Who a classroom app is: what its query claims, judged by its token.

use super::refusal::Refusal;
use crate::{
    config::socketio::IdentitySource,
    engine::Engine,
    flows::{admission::authenticate, connect::Token},
    ports::authn::Identity,
};
use presence_api::lesson::Code;
use presence_core::{
    app::Kind,
    ids::{IdError, OrgId, UserId},
};
use std::str::FromStr;

/// What a client says of itself, not yet judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    pub role: Option<String>,
    pub org_id: Option<String>,
    pub product_type: Option<String>,
    pub token: Option<Token>,
}

/// Who it is.
#[derive(Debug)]
pub(super) struct Who {
    pub identity: Identity,
    pub user_id: UserId,
    pub org_id: OrgId,
    pub kind: Kind,
    /// What is stored as its `role`.
    pub role: String,
}

pub(super) async fn identify(engine: &Engine, claims: Claims) -> Result<Who, Refusal> {
    let kind = kind(&claims)?;
    let org_id: OrgId = id("org_id", claims.org_id.as_deref())?;
    let role = stored_role(kind, claims.role)?;
    let token =
        claims.token.ok_or_else(|| Refusal::new(Code::Unauthenticated, "there is no access token"))?;
    let identity = authenticate(&engine.deps, token.expose()).await?;
    if !confirms(engine.deps.config.socketio.identity, &identity, &org_id, kind) {
        let why = format!("the token is not one of a {kind} of this org");
        return Err(Refusal::new(Code::AccessDenied, why));
    }
    let user_id = identity.account.as_str().parse().map_err(|error: IdError| {
        Refusal::new(
            Code::AccessDenied,
            format!("the token's sub is no user id, which must be {}", error.expected),
        )
    })?;
    Ok(Who { identity, user_id, org_id, kind, role })
}

/// Whether the token says the same as the client of its org and of what it is.
pub(super) fn confirms(source: IdentitySource, identity: &Identity, org: &OrgId, kind: Kind) -> bool {
    match source {
        IdentitySource::Token => {
            identity.org_id.as_deref() == Some(org.as_str())
                && identity.role.as_deref() == Some(kind.as_str())
        }
        IdentitySource::Query => true,
    }
}

/// An id of a query or a message.
pub(super) fn id<T: FromStr<Err = IdError>>(field: &str, text: Option<&str>) -> Result<T, Refusal> {
    let text = text.ok_or_else(|| Refusal::bad_request(format!("{field} is missing")))?;
    text.parse().map_err(|error: IdError| Refusal::bad_request(format!("{field} must be {}", error.expected)))
}

fn kind(claims: &Claims) -> Result<Kind, Refusal> {
    let named = |word: Option<&str>, is_one: fn(Kind) -> bool| {
        word.and_then(Kind::named).filter(|kind| is_one(*kind))
    };
    if let Some(product) = &claims.product_type {
        return named(Some(product), Kind::is_product)
            .ok_or_else(|| Refusal::bad_request("product_type must be manager or teacher_hub, or left out"));
    }
    named(claims.role.as_deref(), Kind::joins_lessons)
        .ok_or_else(|| Refusal::bad_request("role must be teacher or student"))
}

/// Beside a product type the role says nothing, and is kept as it came.
fn stored_role(kind: Kind, role: Option<String>) -> Result<String, Refusal> {
    let Some(role) = role else { return Ok(kind.as_str().to_owned()) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&role.len()) && role.bytes().all(fits) {
        Ok(role)
    } else {
        Err(Refusal::bad_request("role must be 1 to 64 characters of A-Z a-z 0-9 _ -"))
    }
}
