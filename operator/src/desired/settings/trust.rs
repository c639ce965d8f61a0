//! `auth`: whose tokens are trusted, and what they admit.

use serde::Serialize;

use super::super::mounts::Mounts;
use crate::crd::{self, AuthzMode, Period};

#[derive(Serialize)]
pub(super) struct Auth {
    issuers: Vec<Issuer>,
    allow_http: bool,
    authz: Authz,
}

#[derive(Serialize)]
struct Issuer {
    audience: Vec<String>,
    #[serde(rename = "issuer")]
    iss: Option<String>,
    jwks_url: Option<String>,
    key_files: Option<Vec<String>>,
    leeway: Period,
}

#[derive(Serialize)]
struct Authz {
    mode: &'static str,
    url: Option<String>,
    namespace: Option<String>,
    token_file: Option<String>,
}

pub(super) fn auth(of: &crd::Auth, mounts: &mut Mounts) -> Auth {
    let issuer = |(index, issuer): (usize, &crd::Issuer), mounts: &mut Mounts| Issuer {
        audience: issuer.audiences.clone(),
        iss: issuer.issuer.clone(),
        jwks_url: issuer.jwks_url.clone(),
        key_files: mounts
            .optional(issuer.key_secret.as_ref(), &format!("issuer-{index}-keys"))
            .map(|file| vec![file]),
        leeway: issuer.leeway,
    };
    Auth {
        issuers: of.issuers.iter().enumerate().map(|one| issuer(one, mounts)).collect(),
        allow_http: of.allow_http,
        authz: Authz {
            mode: match of.authz.mode {
                AuthzMode::Claims => "claims",
                AuthzMode::Http => "http",
                AuthzMode::Allow => "allow",
            },
            url: of.authz.url.clone(),
            namespace: of.authz.namespace.clone(),
            token_file: mounts.optional(of.authz.token_secret.as_ref(), "authz-token"),
        },
    }
}
