//! Whose tokens are trusted and what they admit, as the settings say.

use crate::{
    adapters::{
        authn_jwt::{
            EmbeddedKey, IssuerOptions, JwksOptions, JwtAuthn, JwtOptions, KeySource, TokenCacheOptions,
        },
        authz_allow::AllowAuthz,
        authz_claims::ClaimsAuthz,
        authz_http::{CacheOptions, HttpAuthz, HttpAuthzOptions},
    },
    cli::Failure,
    config::{
        Config,
        auth::{AuthzMode, Issuer},
    },
    ports::{authn::Authn, authz::Authz, clock::Clock},
};
use std::sync::Arc;

pub(super) async fn authn(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Authn>, Failure> {
    if config.auth.is_embedded() {
        let key = embedded_key(config)?;
        return Ok(Arc::new(JwtAuthn::embedded(&key, TokenCacheOptions::default(), clock)));
    }
    let issuers =
        config.auth.issuers.iter().map(|issuer| issuer_options(issuer, config.auth.allow_http)).collect();
    let options = JwtOptions { issuers, cache: TokenCacheOptions::default() };
    let authn = JwtAuthn::new(&options, clock).await;
    Ok(Arc::new(authn.map_err(|error| Failure::other("auth.issuers cannot be used", error))?))
}

fn issuer_options(issuer: &Issuer, allow_http: bool) -> IssuerOptions {
    let keys = match &issuer.jwks_url {
        Some(url) => KeySource::Jwks(JwksOptions { allow_http, ..JwksOptions::new(url.to_string()) }),
        None => KeySource::Files(issuer.key_files.clone()),
    };
    IssuerOptions {
        audiences: issuer.audience.clone(),
        issuer: issuer.issuer.clone(),
        keys,
        leeway: issuer.leeway.0,
    }
}

pub(super) fn embedded_key(config: &Config) -> Result<EmbeddedKey, Failure> {
    EmbeddedKey::load_or_create(&config.data_dir)
        .map_err(|error| Failure::other("the embedded key in data_dir cannot be used", error))
}

pub(super) async fn authz(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Authz>, Failure> {
    let authz = &config.auth.authz;
    match (authz.mode, &authz.url, &authz.namespace) {
        (AuthzMode::Allow, ..) => Ok(Arc::new(AllowAuthz)),
        (AuthzMode::Claims, ..) => Ok(Arc::new(ClaimsAuthz)),
        (AuthzMode::Http, Some(url), Some(namespace)) => {
            let options = HttpAuthzOptions {
                allow_http: config.auth.allow_http,
                token_file: authz.token_file.clone(),
                timeout: authz.timeout.0,
                cache: CacheOptions {
                    capacity: authz.cache_entries as usize,
                    allowed: authz.cache_allow.0,
                    denied: authz.cache_deny.0,
                },
                ..HttpAuthzOptions::new(url.to_string(), namespace.clone())
            };
            let authz = HttpAuthz::new(options, clock).await;
            Ok(Arc::new(authz.map_err(|error| Failure::other("auth.authz cannot be used", error))?))
        }
        (AuthzMode::Http, ..) => {
            Err(Failure::plain("auth.authz.mode is http: auth.authz.url and namespace say whom to ask"))
        }
    }
}
