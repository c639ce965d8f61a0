//! Quantities of resources in the API server's own canonical form: what is applied is then what is read back.
//!
//! As in `k8s.io/apimachinery/pkg/api/resource`: the suffix keeps its family, no digits after the point, and the largest
//! suffix that loses nothing. Resources of pods are rounded up to thousandths.

use std::fmt;

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15)];
const EXA: (&str, i32) = ("E", 18);

/// Longer ones are no quantity of anything.
const MAX_LENGTH: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Binary,
    Decimal,
    Exponent,
}

/// An amount of a resource. Printing it is canonical.
#[derive(Clone, Copy)]
pub(super) struct Amount {
    millis: u128,
    family: Family,
}

/// None where it is no quantity, is negative, or is more than 2^63 - 1.
pub(super) fn parse(text: &str) -> Option<Amount> {
    let text = text.trim();
    if text.len() > MAX_LENGTH {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (family, millis) = match parse_suffix(suffix)? {
        Suffix::Binary(power) => {
            let units = digits.checked_mul(1024_u128.checked_pow(power)?)?;
            (Family::Binary, scaled(units, 3 - scale)?)
        }
        Suffix::Decimal(exponent) => (Family::Decimal, scaled(digits, exponent + 3 - scale)?),
        Suffix::Exponent(exponent) => (Family::Exponent, scaled(digits, exponent + 3 - scale)?),
    };
    let most = u128::from(i64::MAX.unsigned_abs()) * 1000;
    (millis <= most).then_some(Amount { millis, family })
}

impl Amount {
    pub(super) fn exceeds(self, limit: Self) -> bool {
        self.millis > limit.millis
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self.millis, self.family))
    }
}

enum Suffix {
    Binary(u32),
    Decimal(i32),
    Exponent(i32),
}

fn parse_suffix(suffix: &str) -> Option<Suffix> {
    if let Some(power) = BINARY.iter().skip(1).position(|name| *name == suffix) {
        return Some(Suffix::Binary(u32::try_from(power).ok()? + 1));
    }
    if let Some((_, exponent)) = DECIMAL.iter().chain([&EXA]).find(|(name, _)| *name == suffix) {
        return Some(Suffix::Decimal(*exponent));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-30..=30).contains(&exponent).then_some(Suffix::Exponent(exponent))
}

/// `number * 10^exponent`, rounded up.
fn scaled(number: u128, exponent: i32) -> Option<u128> {
    let factor = 10_u128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 { number.checked_mul(factor) } else { Some(number.div_ceil(factor)) }
}

fn print(millis: u128, family: Family) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    let units = millis / 1000;
    if family == Family::Binary && units >= 1024 && millis.is_multiple_of(1000) {
        let power =
            (0..BINARY.len() - 1).take_while(|power| units.is_multiple_of(1024_u128 << (10 * power))).count();
        return format!("{}{}", units >> (10 * power), BINARY[power]);
    }
    let (mut number, mut exponent) = (millis, -3);
    while number.is_multiple_of(1000) && exponent < EXA.1 {
        number /= 1000;
        exponent += 3;
    }
    match DECIMAL.iter().chain([&EXA]).find(|(_, at)| *at == exponent) {
        Some((suffix, _)) if family != Family::Exponent => format!("{number}{suffix}"),
        _ if exponent == 0 => number.to_string(),
        _ => format!("{number}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        parse(text).map(|amount| amount.to_string())
    }

    #[test]
    fn quantities_are_written_as_the_api_server_writes_them() {
        // What `resource.MustParse(x)`, rounded up to thousandths, prints: see the Go package of Kubernetes 1.34.
        for (text, canon) in [
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("0", "0"),
            ("0Mi", "0"),
            ("00.50", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("+2", "2"),
            ("0.5Gi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("1000Mi", "1000Mi"),
            ("1023", "1023"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1.0001Ki", "1024103m"),
            ("1000000", "1M"),
            ("1500000", "1500k"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e1", "120"),
            ("1e-3", "1e-3"),
            ("1E", "1E"),
            ("1000P", "1E"),
            ("1u", "1m"),
            ("100n", "1m"),
            ("2Ei", "2Ei"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(canon), "{text}");
            assert_eq!(canonical(canon).as_deref(), Some(canon), "{canon} again");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in [
            "", ".", "1.2.3", "-1", "1 Gi", "1gi", "1KiB", "e3", "1e", "1e1.5", "0x10", "1K", "9Ei", "10E",
            "١",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical(&"9".repeat(41)), None);
    }
}
