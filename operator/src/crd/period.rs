//! A length of time, written with its unit as in the server's own settings: `500ms`, `10s`, `5m`, `1h`, `7d`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Kept as milliseconds; printed in the largest unit that says it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a length of time such as 500ms, 10s, 5m, 1h or 7d")]
pub struct NotAPeriod;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Period {
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Rounded up: a bound in whole seconds is not to be shorter than what was asked for.
    pub const fn as_secs_up(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        Self::from_millis(period.0)
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotAPeriod)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| NotAPeriod)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotAPeriod)?;
        number.checked_mul(*factor).map(Self).ok_or(NotAPeriod)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let (unit, factor) =
            UNITS.into_iter().find(|(_, factor)| self.0.is_multiple_of(*factor)).unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$", "maxLength": 12 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_printed_alike() {
        for text in ["500ms", "10s", "5m", "1h", "7d", "0s", "1500ms"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Period>().unwrap().to_string(), "1m");
        for text in ["", "10", "s", "-1s", "1.5s", "1 s", "1w", "99999999999999999999s"] {
            assert_eq!(text.parse::<Period>(), Err(NotAPeriod), "{text}");
        }
        assert_eq!("1500ms".parse::<Period>().unwrap().as_secs_up(), 2);
    }
}
