//! Setting values that are text with a grammar: secrets, periods of time, URLs, origins.
//!
//! Each is parsed once, prints as it is written, and describes itself in the JSON schema. A `Secret` prints as `…`
//! everywhere; only `expose` gives it away.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};
use url::Url;

/// Reads and writes a type as its text, and puts this schema in the document.
macro_rules! as_text {
    ($name:ident, $($schema:tt)+) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}
pub(super) use as_text;

/// A value that nobody may read by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value itself: for the one who hands it to a server, and nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

as_text!(Secret, { "type": "string", "writeOnly": true });

/// A length of time, written with its unit: `500ms`, `10s`, `5m`, `1h`, `7d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    pub const fn secs(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "not a whole number with a unit: ms, s, m, h or d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(EXPECTED)?;
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        number.checked_mul(*millis).map(Self::millis).ok_or("longer than time is")
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A period is made of whole milliseconds, and of fewer than 2^64.
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, unit): &&(&str, u64)| millis.is_multiple_of(*unit) && millis >= *unit;
        match UNITS.iter().rev().find(fits) {
            Some((name, unit)) => write!(f, "{}{name}", millis / unit),
            None => f.write_str("0s"),
        }
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_text!(Period, { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" });

/// An `http` or `https` URL without user, password or fragment: such a URL can be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether nobody on the way can read or change what is said: TLS, or no way at all.
    pub fn is_private(&self) -> bool {
        self.0.scheme() == "https"
            || match self.0.host() {
                Some(url::Host::Domain(name)) => name == "localhost",
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            }
    }
}

impl FromStr for HttpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "not an http:// or https:// URL with a host, and without user or password";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
            Ok(Self(url))
        } else {
            Err(EXPECTED)
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

as_text!(HttpUrl, { "type": "string", "format": "uri" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_reads_with_its_unit_and_prints_with_the_largest_that_fits() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period, period.to_string().as_str()), (Period::millis(millis), text));
        }
        assert_eq!("60s".parse::<Period>().unwrap().to_string(), "1m");
        for bad in
            ["", "10", "s", "-1s", "1.5s", "10 s", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_prints_nowhere() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()), "… … \"…\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn plain_http_is_private_on_this_machine_only() {
        for (url, private) in [
            ("https://a.example/", true),
            ("http://localhost:9/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]/", true),
            ("http://a.example/", false),
        ] {
            assert_eq!(url.parse::<HttpUrl>().unwrap().is_private(), private, "{url}");
        }
        for bad in ["ftp://a/", "https://u:p@a.example/", "a.example", "http://"] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
    }
}
