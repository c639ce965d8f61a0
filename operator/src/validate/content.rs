//! Whether what a Secret holds can be used for its purpose, as the server would judge it at its start. Answers never quote
//! what was looked at.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Purpose;

/// The server reads no more of a secret.
const MAX_BYTES: usize = 64 * 1024;
/// The server believes no larger set of keys.
const MAX_KEYS: usize = 100;

/// What may be known of a usable secret outside of `fetch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    pub fingerprint: String,
    /// The TCP port of a URL.
    pub port: Option<u16>,
    /// A URL has a password in it.
    pub has_password: bool,
}

/// Why it cannot be used. Reads on from "key … of Secret …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("is empty")]
    Empty,
    #[error("is longer than 64 KiB")]
    TooLong,
    #[error("is not text")]
    NotText,
    #[error("is not a URL of the expected scheme")]
    NotSuchUrl,
    #[error("is a URL without a host")]
    NoHost,
    #[error("is not what it should be")]
    Format,
    #[error("holds a private key, where a public one belongs")]
    Private,
    #[error("holds more than 100 keys")]
    TooManyKeys,
    #[error("is not read by kubelets, for the Secret's type is not kubernetes.io/dockerconfigjson")]
    NotForImages,
}

/// `salt` keeps those who see a fingerprint from trying out passwords against it.
pub fn fingerprint(salt: &[u8], bytes: &[u8]) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(bytes).finalize();
    digest.iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Of the bytes of one key of a Secret.
pub fn judge(purpose: Purpose, salt: &[u8], bytes: &[u8]) -> Result<Judged, Unusable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unusable::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unusable::NotText)?;
    // Editors add a line end; the server takes it off as well.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(Unusable::Empty);
    }
    let mut judged = Judged { fingerprint: fingerprint(salt, bytes), port: None, has_password: false };
    match purpose {
        Purpose::DatabaseUrl => locate(&mut judged, text, &["postgres", "postgresql"], 5432)?,
        Purpose::RedisUrl => locate(&mut judged, text, &["redis", "rediss"], 6379)?,
        // Of a registry's, it is the Secret's type that says what it is: see `registry`.
        Purpose::Word | Purpose::Registry => {}
        Purpose::NatsCredentials => nats_credentials(text)?,
        Purpose::Authority => authority(bytes)?,
        Purpose::Certificate | Purpose::ServedCertificate => certificate(bytes)?,
        Purpose::PrivateKey | Purpose::ServedKey => {
            PrivateKeyDer::from_pem_slice(bytes).map_err(|_| Unusable::Format)?;
        }
        Purpose::PublicKeys => public_keys(text)?,
    }
    Ok(judged)
}

fn locate(judged: &mut Judged, text: &str, schemes: &[&str], default_port: u16) -> Result<(), Unusable> {
    let url =
        Url::parse(text).ok().filter(|url| schemes.contains(&url.scheme())).ok_or(Unusable::NotSuchUrl)?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Unusable::NoHost);
    }
    judged.port = Some(url.port().unwrap_or(default_port));
    judged.has_password = url.password().is_some();
    Ok(())
}

fn nats_credentials(text: &str) -> Result<(), Unusable> {
    let has = |marker: &str| text.contains(&format!("-----BEGIN {marker}-----"));
    if has("NATS USER JWT") && has("USER NKEY SEED") { Ok(()) } else { Err(Unusable::Format) }
}

fn certificate(bytes: &[u8]) -> Result<(), Unusable> {
    let mut found = 0;
    for one in CertificateDer::pem_slice_iter(bytes) {
        one.map_err(|_| Unusable::Format)?;
        found += 1;
    }
    if found == 0 { Err(Unusable::Format) } else { Ok(()) }
}

fn authority(bytes: &[u8]) -> Result<(), Unusable> {
    certificate(bytes)?;
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(bytes).flatten() {
        roots.add(one).map_err(|_| Unusable::Format)?;
    }
    Ok(())
}

fn public_keys(text: &str) -> Result<(), Unusable> {
    if text.trim_start().starts_with('{') {
        return json_keys(text);
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(Unusable::Private);
    }
    if text.matches("-----BEGIN ").count() != 1 {
        return Err(Unusable::Format);
    }
    SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map(drop).map_err(|_| Unusable::Format)
}

fn json_keys(text: &str) -> Result<(), Unusable> {
    let document: Value = serde_json::from_str(text).map_err(|_| Unusable::Format)?;
    let keys = match document.get("keys") {
        Some(Value::Array(keys)) if keys.len() > MAX_KEYS => return Err(Unusable::TooManyKeys),
        Some(Value::Array(keys)) if !keys.is_empty() => keys.iter().collect(),
        Some(_) => return Err(Unusable::Format),
        None => vec![&document],
    };
    keys.into_iter().try_for_each(json_key)
}

fn json_key(key: &Value) -> Result<(), Unusable> {
    if key.get("d").is_some() {
        return Err(Unusable::Private);
    }
    let text = |member: &str| key.get(member).and_then(Value::as_str);
    let has = |members: &[&str]| members.iter().all(|member| text(member).is_some_and(|it| !it.is_empty()));
    let known = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-256")) => has(&["x", "y"]),
        (Some("OKP"), Some("Ed25519")) => has(&["x"]),
        (Some("RSA"), _) => has(&["n", "e"]),
        _ => false,
    };
    if known { Ok(()) } else { Err(Unusable::Format) }
}
