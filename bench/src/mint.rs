//! Tokens for thousands of students. A process of `presence token` for each would take longer than the benchmark, so they
//! are made here: like one that it made, and signed with the same key.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc};

/// Who signs, and what every token says.
pub(crate) struct Mint {
    /// None: nobody looks at the signature.
    key: Option<EncodingKey>,
    header: Header,
    claims: Value,
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
        let mut claims = self.claims.clone();
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
