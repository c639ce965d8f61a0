//! `bus`: how a classroom hears of what happens in it.

use super::{
    Report,
    text::{Period, Secret, as_text},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};
use url::Url;

/// Which bus, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BusUrl {
    #[default]
    InProcess,
    /// Servers of one cluster. A URL may hold a password.
    Nats(Vec<Secret>),
}

/// More seeds than any cluster has servers.
const MAX_SERVERS: usize = 32;

impl FromStr for BusUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "neither in-process nor nats:// or tls:// URLs with commas between them";
        if text == "in-process" {
            return Ok(Self::InProcess);
        }
        let servers: Vec<_> = text.split(',').map(str::trim).collect();
        let is_server = |server: &&str| {
            Url::parse(server).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
        };
        if servers.len() <= MAX_SERVERS && servers.iter().all(is_server) {
            Ok(Self::Nats(servers.into_iter().map(Secret::new).collect()))
        } else {
            Err(EXPECTED)
        }
    }
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("in-process"),
            Self::Nats(servers) => {
                let hosts = servers.iter().filter_map(|server| {
                    let url = Url::parse(server.expose()).ok()?;
                    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
                });
                f.write_str(&hosts.collect::<Vec<_>>().join(","))
            }
        }
    }
}

as_text!(BusUrl, { "type": "string", "format": "uri", "writeOnly": true });

/// The shape of our own events' bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventBody {
    /// `{"id":…,"payload":…}`.
    #[default]
    Envelope,
    /// The payload alone; the id is in the headers.
    Payload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bus {
    /// `in-process`, or NATS servers with commas between them.
    #[schemars(example = "nats://nats.example:4222")]
    pub url: BusUrl,
    /// The JetStream stream of classroom events. It is made where it is absent.
    #[schemars(example = &"classroom")]
    pub stream: String,
    /// `envelope`: an event's body is `{"id":…,"payload":…}`; `payload`: its payload, with the id in headers.
    pub event_body: EventBody,
    /// Copies of each event that NATS keeps.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// How long NATS keeps an event: how far back a client can resume.
    pub max_age: Period,
    /// A NATS credentials file (JWT and seed).
    #[schemars(example = "/run/secrets/presence.creds")]
    pub credentials_file: Option<PathBuf>,
    /// The user that `password` belongs to.
    #[schemars(example = &"presence")]
    pub user: Option<String>,
    #[schemars(example = "a long random word")]
    /// The user's password.
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    #[schemars(example = "/run/secrets/presence-bus-password")]
    pub password_file: Option<PathBuf>,
    /// A NATS token.
    #[schemars(example = "a long random word")]
    pub token: Option<Secret>,
    /// A file that holds the token, instead of `token`.
    #[schemars(example = "/run/secrets/presence-bus-token")]
    pub token_file: Option<PathBuf>,
    /// Certificates to trust, in PEM. Without it, those of the system.
    #[schemars(example = "/etc/presence/nats-ca.pem")]
    pub tls_ca_file: Option<PathBuf>,
    /// Our own certificate, in PEM.
    #[schemars(example = "/etc/presence/nats.pem")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of our own certificate, in PEM.
    #[schemars(example = "/etc/presence/nats-key.pem")]
    pub tls_key_file: Option<PathBuf>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            url: BusUrl::InProcess,
            stream: "classroom".into(),
            event_body: EventBody::Envelope,
            replicas: 1,
            max_age: Period::secs(60 * 60),
            credentials_file: None,
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

impl Bus {
    pub(super) fn resolve(&mut self, report: &mut Report) {
        report.fill("bus.password", &mut self.password, self.password_file.as_deref());
        report.fill("bus.token", &mut self.token, self.token_file.as_deref());
    }

    pub(super) fn check(&self, report: &mut Report) {
        let word = |text: &str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if !word(&self.stream) {
            report.bad("bus.stream", "not 1 to 64 characters of A-Z a-z 0-9 _ -");
        }
        // Shorter, and the window in which NATS recognises a repeated event would be longer than events are kept.
        if self.max_age < Period::secs(600) {
            report.bad("bus.max_age", "shorter than 10m, in which a repeated event must be recognised");
        }
        if self.user.is_some() != self.password.is_some() {
            report.bad("bus.user", "bus.user and bus.password come together or not at all");
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            report.bad(
                "bus.tls_cert_file",
                "bus.tls_cert_file and bus.tls_key_file come together or not at all",
            );
        }
        let ways = [self.user.is_some(), self.token.is_some(), self.credentials_file.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            report.bad("bus.credentials_file", "user, token and credentials_file exclude each other");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_in_process_or_nats_servers() {
        assert_eq!("in-process".parse(), Ok(BusUrl::InProcess));
        let two: BusUrl = "nats://u:hunter2@a:4222, tls://b".parse().unwrap();
        assert_eq!(two.to_string(), "nats://a:4222,tls://b");
        assert!(!format!("{two:?}").contains("hunter2"));
        for bad in ["", "nats", "nats://", "http://a", "nats://a,,nats://b"] {
            assert!(bad.parse::<BusUrl>().is_err(), "{bad}");
        }
    }
}
