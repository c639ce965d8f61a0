//! What the composition root may choose about Redis. The address may hold a password, which never reaches `Debug`.

use super::Error;
use redis::{Client, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates};
use std::{fmt, path::PathBuf};

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `redis://` or `rediss://`.
    pub url: String,
    pub key_prefix: String,
    /// The only authorities to trust; without it, the system's.
    pub tls_ca_file: Option<PathBuf>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, key_prefix, tls_ca_file } = self;
        let shown = url.rsplit_once('@').map_or(url.as_str(), |(_, host)| host);
        f.debug_struct("Options")
            .field("url", &shown)
            .field("key_prefix", key_prefix)
            .field("tls_ca_file", tls_ca_file)
            .finish()
    }
}

impl Options {
    pub(super) fn client(&self) -> Result<Client, Error> {
        let info = self.url.as_str().into_connection_info().map_err(Error::Address)?;
        // Small writes wait for nobody.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
        let Some(path) = self.tls_ca_file.clone() else {
            return Client::open(info).map_err(Error::Address);
        };
        let root_cert = match std::fs::read(&path) {
            Ok(pem) => Some(pem),
            Err(source) => return Err(Error::CaFile { path, source }),
        };
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            .map_err(|source| Error::Certificates { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        for url in ["redis://:s3cret@redis.example:6379/0", "rediss://anna:s3cret@redis.example/x"] {
            let options = Options { url: url.into(), ..Options::default() };
            let shown = match options.client() {
                Ok(client) => format!("{options:?} {client:?}"),
                Err(error) => format!("{options:?} {error:?} {error}"),
            };
            assert!(!shown.contains("s3cret") && shown.contains("redis.example"), "{shown}");
        }
    }

    #[test]
    fn certificates_are_for_tls() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let options =
            |url: &str| Options { url: url.into(), tls_ca_file: Some(file.clone()), ..Options::default() };
        assert!(matches!(options("rediss://redis.example").client(), Err(Error::CaFile { .. })));
        std::fs::write(&file, "").unwrap();
        assert!(matches!(options("redis://redis.example").client(), Err(Error::Certificates { .. })));
    }
}
