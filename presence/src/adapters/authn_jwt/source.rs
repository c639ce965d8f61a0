//! Where keys come from: files, or a JWKS at a URL. Reads once when asked and keeps nothing; `keyring` decides when.

use super::{
    keys::{self, KeyError, KeySet, Unusable},
    options::JwksOptions,
};
use crate::adapters::outbound::{self, ReadError, UrlError};
use reqwest::{Client, StatusCode, header};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{fs::File, io::AsyncReadExt as _};
use url::Url;

/// The longest that one reading may take.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest key file or published set.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("read key file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("key file {}", path.display())]
    File { path: PathBuf, source: KeyError },
    #[error("key files together")]
    Files(#[source] KeyError),
    #[error("no key file is named")]
    NoFiles,
    #[error("key set URL")]
    Url(#[from] UrlError),
    #[error("make an HTTP client for {host}")]
    Client { host: String, source: reqwest::Error },
    #[error("fetch the key set from {host}")]
    Fetch { host: String, source: reqwest::Error },
    #[error("{host} answered {status} instead of a key set")]
    Status { host: String, status: StatusCode },
    #[error("read the key set of {host}")]
    Body { host: String, source: ReadError },
    #[error("key set of {host}")]
    Set { host: String, source: KeyError },
    #[error("reading the keys took longer than 5 s")]
    Slow,
}

#[derive(Debug)]
pub(super) enum Source {
    Files(Vec<PathBuf>),
    Jwks(JwksUrl),
    /// The keys that were given are all there will ever be.
    Fixed,
}

#[derive(Debug)]
pub(super) struct JwksUrl {
    url: Url,
    host: String,
    client: Client,
}

impl JwksUrl {
    pub(super) fn new(options: &JwksOptions) -> Result<Self, LoadError> {
        let url = outbound::parse_url(&options.url, options.allow_http)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = outbound::client(&url, LOAD_TIMEOUT)
            .map_err(|source| LoadError::Client { host: host.clone(), source })?;
        Ok(Self { url, host, client })
    }

    async fn fetch(&self) -> Result<KeySet, LoadError> {
        let host = || self.host.clone();
        let request = self.client.get(self.url.clone());
        let request = request.header(header::ACCEPT, "application/jwk-set+json, application/json");
        let response = request
            .send()
            .await
            .map_err(|source| LoadError::Fetch { host: host(), source: source.without_url() })?;
        // A redirect lands here too: it is not followed.
        if response.status() != StatusCode::OK {
            return Err(LoadError::Status { host: host(), status: response.status() });
        }
        let body = outbound::read_body(response, MAX_BYTES)
            .await
            .map_err(|source| LoadError::Body { host: host(), source })?;
        KeySet::parse_jwks(&body, Unusable::Skip).map_err(|source| LoadError::Set { host: host(), source })
    }
}

impl Source {
    /// What the source holds now; `None` where that is `known` already.
    pub(super) async fn load(&self, known: Option<[u8; 32]>) -> Result<Option<KeySet>, LoadError> {
        let set = match self {
            Self::Fixed => return Ok(None),
            Self::Files(paths) => read_files(paths).await?,
            Self::Jwks(jwks) => jwks.fetch().await?,
        };
        Ok(Some(set).filter(|set| Some(set.print) != known))
    }
}

async fn read_files(paths: &[PathBuf]) -> Result<KeySet, LoadError> {
    if paths.is_empty() {
        return Err(LoadError::NoFiles);
    }
    let mut texts = Vec::with_capacity(paths.len());
    for path in paths {
        match read_file(path).await {
            Ok(text) => texts.push((path, text)),
            Err(source) => {
                let path = path.clone();
                return Err(LoadError::Read { path, source });
            }
        }
    }
    parse_files(&texts)
}

async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path).await?;
    file.take(MAX_BYTES as u64).read_to_end(&mut text).await?;
    Ok(text)
}

fn parse_files(texts: &[(&PathBuf, Vec<u8>)]) -> Result<KeySet, LoadError> {
    let mut all = Vec::new();
    let mut print = Sha256::new();
    for (path, text) in texts {
        all.extend(
            keys::parse_file(text).map_err(|source| LoadError::File { path: (*path).clone(), source })?,
        );
        // Each file's own hash, so that moving bytes from one to the next counts as a change.
        print.update(Sha256::digest(text));
    }
    KeySet::new(all, print.finalize().into()).map_err(LoadError::Files)
}
