//! Who a client says that it is. Nothing of it is proved here.

use axum::http::Uri;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Whom a connection belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) user: String,
    pub(crate) org: String,
    /// The query's.
    pub(crate) role: String,
    /// `teacher`, `student`, `manager` or `teacher_hub`.
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Stranger {
    #[error("there is no access token")]
    NoToken,
    #[error("the access token cannot be read")]
    BadToken,
    #[error("the query names no role, or no org")]
    BadQuery,
    #[error("Redis is away")]
    Unavailable,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Visitor {
    pub(crate) fn of(uri: &Uri, auth: Option<&Value>) -> Result<Self, Stranger> {
        let mut query: HashMap<String, String> =
            axum::extract::Query::try_from_uri(uri).map_err(|_| Stranger::BadQuery)?.0;
        let mut take = |key: &str| query.remove(key);
        let from_payload = auth.and_then(|auth| Some(auth.get("token")?.as_str()?.to_owned()));
        let token = from_payload.or_else(|| take("auth")).ok_or(Stranger::NoToken)?;
        let role = take("role").ok_or(Stranger::BadQuery)?;
        let org = take("org_id").ok_or(Stranger::BadQuery)?;
        let kind = take("product_type").unwrap_or_else(|| role.clone());
        Ok(Self { user: subject(&token).ok_or(Stranger::BadToken)?, org, role, kind })
    }
}

/// The `sub` of a token, whoever signed it.
fn subject(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&payload).ok().map(|claims| claims.sub)
}
