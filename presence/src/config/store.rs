//! `store`: where sessions, attendance and the outbox are kept.

use super::{
    Report,
    text::{Secret, as_text},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use url::Url;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A whole `postgres://` URL; it may hold a password.
    Postgres(Secret),
    Sqlite(PathBuf),
}

impl FromStr for StoreUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "neither a postgres:// URL nor sqlite: with a path";
        if let Some(rest) = text.strip_prefix("sqlite:") {
            // `sqlite:path`, `sqlite:///absolute`, and sqlx's own `sqlite://relative`.
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let is_path = !path.is_empty() && !path.contains('?') && path != ":memory:";
            return if is_path { Ok(Self::Sqlite(path.into())) } else { Err(EXPECTED) };
        }
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        if matches!(url.scheme(), "postgres" | "postgresql") {
            Ok(Self::Postgres(Secret::new(text)))
        } else {
            Err(EXPECTED)
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(url) => write!(f, "postgres://{url}"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

as_text!(StoreUrl, { "type": "string", "format": "uri", "writeOnly": true });

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `postgres://user@host:5432/database` or `sqlite:` and the path of a file. Without it, a SQLite file in
    /// `data_dir`.
    #[schemars(example = "postgres://presence@db.example:5432/presence")]
    pub url: Option<StoreUrl>,
    /// A file that holds the URL, instead of `url`.
    #[schemars(example = "/run/secrets/presence-store-url")]
    pub url_file: Option<PathBuf>,
    /// The password of a `postgres://` URL that names none.
    #[schemars(example = "a long random word")]
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    #[schemars(example = "/run/secrets/presence-store-password")]
    pub password_file: Option<PathBuf>,
    /// Certificates to trust, in PEM, where the URL asks for `sslmode=verify-ca` or `verify-full`.
    #[schemars(example = "/etc/presence/db-ca.pem")]
    pub tls_ca_file: Option<PathBuf>,
    /// Connections to PostgreSQL, at most.
    #[schemars(range(min = 2, max = 1000))]
    pub max_connections: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            password: None,
            password_file: None,
            tls_ca_file: None,
            max_connections: 10,
        }
    }
}

impl Store {
    /// Where the store is, once the settings are resolved.
    pub fn url_or_file_in(&self, data_dir: &Path) -> StoreUrl {
        self.url.clone().unwrap_or_else(|| StoreUrl::Sqlite(data_dir.join("presence.db")))
    }

    /// Reads the files, and puts the password into the URL.
    pub(super) fn resolve(&mut self, report: &mut Report) {
        if let Some(text) = report.file("store.url_file", self.url_file.as_deref()) {
            if self.url.is_some() {
                report.both("store.url", "store.url_file");
            }
            match text.expose().parse() {
                Ok(url) => self.url = Some(url),
                Err(why) => report.bad("store.url_file", why),
            }
        }
        report.fill("store.password", &mut self.password, self.password_file.as_deref());
        if let Some(password) = self.password.take() {
            let url = match &self.url {
                Some(StoreUrl::Postgres(url)) => Some(url.expose()),
                Some(StoreUrl::Sqlite(_)) | None => None,
            };
            let none = "there is no postgres:// URL that it could belong to";
            if let Some(whole) = report.add_password("store", url, &password, none) {
                self.url = Some(StoreUrl::Postgres(whole));
            }
        }
        if let Some(file) = &self.tls_ca_file {
            match trusting(self.url.as_ref(), file) {
                Ok(url) => self.url = Some(url),
                Err(why) => report.bad("store.tls_ca_file", why),
            }
        }
    }
}

/// The URL with the certificates that it is to trust, as `libpq` has it.
fn trusting(url: Option<&StoreUrl>, file: &Path) -> Result<StoreUrl, &'static str> {
    const OURS: &str = "sslrootcert";
    let Some(StoreUrl::Postgres(url)) = url else {
        return Err("there is no postgres:// URL that it could belong to");
    };
    let mut url = Url::parse(url.expose()).map_err(|_| "the URL cannot be read")?;
    if url.query_pairs().any(|(key, _)| key == OURS) {
        return Err("the URL names an sslrootcert, too");
    }
    let file = file.to_str().ok_or("a path that is not UTF-8")?;
    url.query_pairs_mut().append_pair(OURS, file);
    Ok(StoreUrl::Postgres(Secret::new(String::from(url))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_postgres_or_a_file() {
        let sqlite = |path: &str| Ok(StoreUrl::Sqlite(path.into()));
        assert_eq!("sqlite:a/b.db".parse(), sqlite("a/b.db"));
        assert_eq!("sqlite:///a/b.db".parse(), sqlite("/a/b.db"));
        assert_eq!("sqlite:/a/b.db".parse(), sqlite("/a/b.db"));
        assert!(matches!("postgres://u:p@h/d".parse(), Ok(StoreUrl::Postgres(_))));
        for bad in ["", "sqlite:", "sqlite::memory:", "mysql://h/d", "presence.db", "sqlite:a?mode=ro"] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_is_told_whom_to_trust_once() {
        let told = |url: &str| trusting(Some(&url.parse().unwrap()), Path::new("/etc/ca.pem"));
        let Ok(StoreUrl::Postgres(url)) = told("postgres://u@h/d?sslmode=verify-full") else { panic!() };
        assert_eq!(url.expose(), "postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem");
        assert!(told("postgres://u@h/d?sslrootcert=x").is_err());
        assert!(told("sqlite:a").is_err());
        assert!(trusting(None, Path::new("x")).is_err());
    }
}
