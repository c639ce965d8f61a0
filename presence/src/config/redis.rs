//! `redis`: where the classroom's apps and backends read who is connected and in which lesson.

use super::{
    Report,
    text::{Secret, as_text},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};
use url::Url;

/// Where Redis is. The URL may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl(Secret);

impl RedisUrl {
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_redis =
            Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
        if is_redis {
            Ok(Self(Secret::new(text)))
        } else {
            Err("not a redis:// or rediss:// URL with a host")
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(self.expose()).map_err(|_| fmt::Error)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
    }
}

as_text!(RedisUrl, { "type": "string", "format": "uri", "writeOnly": true });

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// One Redis, not a cluster of them: the keys' names are those of the classroom's backend. Without it the lesson
    /// state is kept in this process.
    #[schemars(example = "redis://redis.example:6379/0")]
    pub url: Option<RedisUrl>,
    /// A file that holds the URL, instead of `url`.
    #[schemars(example = "/run/secrets/presence-redis-url")]
    pub url_file: Option<PathBuf>,
    /// The password of a URL that names none.
    #[schemars(example = "a long random word")]
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    #[schemars(example = "/run/secrets/presence-redis-password")]
    pub password_file: Option<PathBuf>,
    /// What every key begins with, where a site shares its Redis.
    #[schemars(example = "school:")]
    pub key_prefix: String,
    /// Certificates to trust, in PEM. Without it, those of the system.
    #[schemars(example = "/etc/presence/redis-ca.pem")]
    pub tls_ca_file: Option<PathBuf>,
}

impl Redis {
    /// Reads the files, and puts the password into the URL.
    pub(super) fn resolve(&mut self, report: &mut Report) {
        if let Some(text) = report.file("redis.url_file", self.url_file.as_deref()) {
            if self.url.is_some() {
                report.both("redis.url", "redis.url_file");
            }
            match text.expose().parse() {
                Ok(url) => self.url = Some(url),
                Err(why) => report.bad("redis.url_file", why),
            }
        }
        report.fill("redis.password", &mut self.password, self.password_file.as_deref());
        if let Some(password) = self.password.take() {
            let url = self.url.as_ref().map(RedisUrl::expose);
            let none = "there is no redis.url that it could belong to";
            if let Some(whole) = report.add_password("redis", url, &password, none) {
                self.url = Some(RedisUrl(whole));
            }
        }
    }

    pub(super) fn check(&self, report: &mut Report) {
        if self.key_prefix.len() > 64 || !self.key_prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            report.bad("redis.key_prefix", "longer than 64, or not printable ASCII without space");
        }
    }
}
