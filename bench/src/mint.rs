//! Tokens for thousands of students. A process of `presence token` for each would take longer than the benchmark, so they
//! are made here: like one that it made, and signed with the same key.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc};

/// How long a token is good for whose template does not say it.
const HOUR: i64 = 60 * 60;

/// Who signs, and what every token says.
pub(crate) struct Mint {
    /// None: nobody looks at the signature.
    key: Option<EncodingKey>,
    header: Header,
    claims: Value,
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mint").finish_non_exhaustive()
    }
}

impl Mint {
    /// As the server made this one.
    pub(crate) fn like(template: &str, key: &Path) -> Result<Self> {
        let pem = fs::read(key).with_context(|| format!("read {}", key.display()))?;
        let header = jsonwebtoken::decode_header(template).context("read a token's header")?;
        let payload = template.split('.').nth(1).context("the token is no JWT")?;
        let payload = URL_SAFE_NO_PAD.decode(payload).context("the token is no JWT")?;
        let claims = serde_json::from_slice(&payload).context("read a token's claims")?;
        let key = EncodingKey::from_ec_pem(&pem).context("understand the server's token key")?;
        Ok(Self { key: Some(key), header, claims })
    }

    /// For servers that read tokens without a look at the signature.
    pub(crate) fn unsigned() -> Self {
        Self { key: None, header: Header::default(), claims: json!({}) }
    }

    pub(crate) fn of(&self, user: &str, role: &str) -> Result<Arc<str>> {
        self.sign(self.claims.clone(), user, role)
    }

    /// As good for as long as the template, but from now on, in Unix seconds.
    pub(crate) fn at(&self, now: i64, user: &str, role: &str) -> Result<Arc<str>> {
        let mut claims = self.claims.clone();
        let time = |claim: &str| claims[claim].as_i64();
        let good_for = time("exp").zip(time("iat")).map_or(HOUR, |(exp, iat)| exp - iat);
        claims["iat"] = now.into();
        claims["exp"] = (now + good_for).into();
        self.sign(claims, user, role)
    }

    fn sign(&self, mut claims: Value, user: &str, role: &str) -> Result<Arc<str>> {
        claims["sub"] = user.into();
        claims["role"] = role.into();
        let token = match &self.key {
            Some(key) => jsonwebtoken::encode(&self.header, &claims, key).context("sign a token")?,
            None => format!("e30.{}.e30", URL_SAFE_NO_PAD.encode(claims.to_string())),
        };
        Ok(token.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_token_says_who_it_is() {
        let token = Mint::unsigned().of("s-1", "student").unwrap();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((&claims["sub"], &claims["role"]), (&json!("s-1"), &json!("student")));
    }
}
