//! `public`: the port that browsers and apps reach, and whom it answers.

use super::{
    Report,
    text::{HttpUrl, as_text},
};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// A web origin that may use the service from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `*`.
    Any,
    /// As a browser writes it: scheme, host, and the port where it is not the scheme's own.
    Exact(String),
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let url: HttpUrl = text.parse().map_err(|_| "not an origin: a scheme, a host, perhaps a port")?;
        let origin = url.as_url().origin().ascii_serialization();
        if origin == text {
            Ok(Self::Exact(origin))
        } else {
            Err("not as a browser writes an origin: lower case, no path, no port that goes without saying")
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Exact(origin) => origin,
        })
    }
}

as_text!(Origin, { "type": "string" });

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Public {
    /// Where the WebSocket door and the public HTTP API listen.
    pub addr: SocketAddr,
    /// Web origins whose pages may connect: each exactly as a browser sends it, or `*` for all. When empty: any page
    /// while the embedded key signs the tokens and the port is on this machine only, else pages of this host alone.
    /// Programs that send no `Origin` are not asked.
    #[schemars(example = ["https://app.example"])]
    pub origins: Vec<Origin>,
    /// Networks of the proxies in front: what they say in `X-Forwarded-For` is believed.
    #[schemars(with = "Vec<String>", example = ["10.0.0.0/8"])]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether `/` is a page that shows who is present. When not set: only while the embedded key signs the tokens.
    #[schemars(example = true)]
    pub live_page: Option<bool>,
    /// Connections at a time, at most; another one is closed at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 8080).into(),
            origins: Vec::new(),
            trusted_proxies: Vec::new(),
            live_page: None,
            max_connections: 50_000,
        }
    }
}

impl Public {
    pub(super) fn check(&self, report: &mut Report) {
        if self.origins.contains(&Origin::Any) && self.origins.len() > 1 {
            report.bad("public.origins", "`*` makes every other origin pointless");
        }
    }
}

/// Which pages may use the service: what `public.origins` comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPolicy {
    Any,
    /// Pages that this very host served.
    SameHost,
    Listed(Vec<String>),
}

impl OriginPolicy {
    /// `origin` and `host` are the request's headers. Without an origin nobody browses, and nobody is refused.
    pub fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        match self {
            Self::Any => true,
            Self::SameHost => {
                let of_origin = origin.split_once("://").map(|(_, host)| host);
                of_origin.is_some() && of_origin == host
            }
            Self::Listed(origins) => origins.iter().any(|listed| listed == origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for good in ["*", "https://app.example", "http://localhost:3000", "http://[::1]:3000"] {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "app.example",
            "https://app.example/",
            "https://APP.example",
            "https://app.example:443",
            "null",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_is_admitted_by_its_origin() {
        let listed = OriginPolicy::Listed(vec!["https://app.example".into()]);
        assert!(listed.allows(None, None));
        assert!(listed.allows(Some("https://app.example"), None));
        assert!(!listed.allows(Some("https://app.example.evil"), None));
        assert!(!listed.allows(Some("null"), Some("null")));
        let own = OriginPolicy::SameHost;
        assert!(own.allows(Some("https://a.example:8443"), Some("a.example:8443")));
        assert!(!own.allows(Some("https://a.example"), Some("b.example")));
        assert!(!own.allows(Some("null"), Some("null")));
        assert!(!own.allows(Some("https://a.example"), None));
    }
}
