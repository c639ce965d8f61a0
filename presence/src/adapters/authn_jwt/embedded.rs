//! An issuer of our own, for a first try and for tests: one key in the data folder, made when first needed.
//!
//! The key signs and is never shown. Processes that start together on one folder end with the same key.

use super::{
    keys::{self, Key, KeySet},
    token::LAST_SECOND,
};
use aws_lc_rs::{
    rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, ThumbprintHash},
};
use presence_core::{
    ids::{Account, Audience},
    time::UnixMicros,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// The `iss` of tokens minted here, and the only one that the embedded issuer trusts.
pub const EMBEDDED_ISSUER: &str = "presence-embedded";

const FILE: &str = "token-key.pem";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no EC P-256 private key in PKCS#8 PEM; remove it to have a new one made", path.display())]
    Key { path: PathBuf },
    #[error("make a signing key")]
    Generate,
    #[error("sign a token")]
    Sign,
}

/// What a token shall say.
#[derive(Debug, Clone)]
pub struct MintRequest {
    pub account: Account,
    pub audience: Audience,
    pub org_id: Option<String>,
    pub role: Option<String>,
    /// Classrooms, or patterns of them; `None`: the token lists none at all.
    pub classrooms: Option<Vec<String>>,
    pub ttl: Duration,
}

#[derive(Serialize)]
struct MintedClaims<'a> {
    iss: &'static str,
    sub: &'a Account,
    aud: &'a Audience,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classrooms: Option<&'a [String]>,
}

/// The embedded issuer's signing key.
#[derive(Clone)]
pub struct EmbeddedKey {
    signing: EncodingKey,
    public: Key,
    kid: String,
}

impl fmt::Debug for EmbeddedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl EmbeddedKey {
    /// The key of this folder. Blocks on the disk: it is for start-up and the command line.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let pem = match read(&path) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                create(data_dir, &path)?;
                // Read back: where another process was first, its key is the one.
                read(&path)?
            }
            read => read?,
        };
        Self::from_pem(&pem).ok_or(Error::Key { path })
    }

    pub fn mint(&self, request: &MintRequest, now: UnixMicros) -> Result<String, Error> {
        let iat = now.as_secs();
        let ttl = i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX);
        let claims = MintedClaims {
            iss: EMBEDDED_ISSUER,
            sub: &request.account,
            aud: &request.audience,
            iat,
            exp: iat.saturating_add(ttl).min(LAST_SECOND),
            org_id: request.org_id.as_deref(),
            role: request.role.as_deref(),
            classrooms: request.classrooms.as_deref(),
        };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|_| Error::Sign)
    }

    pub(super) fn key_set(&self) -> KeySet {
        let print = Sha256::digest(&self.kid).into();
        KeySet::new(vec![self.public.clone()], print).expect("one key is neither none nor too many")
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        let signing = EncodingKey::from_ec_pem(pem).ok()?;
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        // Through the same checks as anybody's public key.
        let json = serde_json::to_vec(&jwk).ok()?;
        let public = keys::parse_file(&json).ok()?.pop()?;
        let public = Key { kid: Some(kid.clone()), ..public };
        Some(Self { signing, public, kid })
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File { action, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let pem = fs::read(path).map_err(failed("read", path))?;
    let mode = fs::metadata(path).map_err(failed("look at", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777),
            "others on this machine may use the token key; chmod 600 it");
    }
    Ok(pem)
}

/// Puts a new key at `path` unless there is one by then. Nobody ever sees half a key: it is written under a name of
/// its own and then linked, and a link is made whole or not at all, and never over another.
fn create(data_dir: &Path, path: &Path) -> Result<(), Error> {
    fs::create_dir_all(data_dir).map_err(failed("make folder", data_dir))?;
    let mut unique = [0; 8];
    rand::fill(&mut unique).map_err(|_| Error::Generate)?;
    let draft = data_dir.join(format!(".{FILE}.{:016x}", u64::from_ne_bytes(unique)));
    let written = write(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed("make", path)(error)),
        _ => Ok(()),
    });
    // What is left of a draft after a crash is a key that nothing uses.
    let _ = fs::remove_file(&draft);
    written?;
    let folder = File::open(data_dir).map_err(failed("open", data_dir))?;
    folder.sync_all().map_err(failed("write", data_dir))
}

fn write(draft: &Path) -> Result<(), Error> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| Error::Generate)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| Error::Generate)?;
    let body = STANDARD.encode(pkcs8.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(draft).map_err(failed("make", draft))?;
    file.write_all(pem.as_bytes()).map_err(failed("write", draft))?;
    file.sync_all().map_err(failed("write", draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn processes_that_race_end_with_one_key_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("made/on/the/way");
        let kids: Vec<String> = thread::scope(|scope| {
            let load = || EmbeddedKey::load_or_create(&data).unwrap().kid;
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(kids.iter().all(|kid| *kid == kids[0]));
        let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [FILE]);
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for text in ["", "secret stuff", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, text).unwrap();
            let error = EmbeddedKey::load_or_create(folder.path()).unwrap_err();
            assert!(matches!(error, Error::Key { .. }));
            assert!(error.to_string().contains(FILE) && !error.to_string().contains("secret"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn its_debug_output_holds_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = EmbeddedKey::load_or_create(folder.path()).unwrap();
        let pem = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!format!("{key:?}").contains(secret));
        assert!(format!("{key:?}").contains(&key.kid));
    }
}
