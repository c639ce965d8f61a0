//! Who a browser says it comes from, and where a request came from in truth.

use axum::http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// Which origins may open a socket, and which proxies are believed when they name a client.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Exact, as a browser sends them: `https://school.example`. `*` admits any.
    pub allowed: Vec<String>,
    pub trusted_proxies: Vec<Network>,
}

impl Origins {
    /// A request without an origin comes from no browser, and proves who it is by its token alone.
    pub fn admit(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        self.allowed.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }

    /// The client's address: the last one in `X-Forwarded-For` that no trusted proxy wrote about itself, if the
    /// connection came from a trusted proxy; else the connection's own.
    pub fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(address));
        let mut address = peer.ip().to_canonical();
        let forwarded: Vec<_> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|text| text.trim().parse::<IpAddr>())
            .collect();
        for hop in forwarded.into_iter().rev() {
            match hop {
                Ok(hop) if trusted(address) => address = hop.to_canonical(),
                _ => break,
            }
        }
        address
    }
}

/// A block of addresses, as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// `None` where the prefix is longer than the address.
    pub const fn new(base: IpAddr, bits: u8) -> Option<Self> {
        let most = if base.is_ipv4() { 32 } else { 128 };
        if bits <= most { Some(Self { base, bits }) } else { None }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => (u32::from(base) ^ u32::from(address))
                .checked_shr(32 - u32::from(self.bits))
                .unwrap_or(0)
                .into(),
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (u128::from(base) ^ u128::from(address)).checked_shr(128 - u32::from(self.bits)).unwrap_or(0)
            }
            _ => 1,
        };
        differing == 0_u128
    }
}

impl std::str::FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an address block, as 10.0.0.0/8";
        let (base, bits) = text.split_once('/').ok_or(EXPECTED)?;
        let base: IpAddr = base.parse().map_err(|_| EXPECTED)?;
        Self::new(base, bits.parse().map_err(|_| EXPECTED)?).ok_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(allowed: &[&str], proxies: &[&str]) -> Origins {
        Origins {
            allowed: allowed.iter().map(|o| (*o).to_owned()).collect(),
            trusted_proxies: proxies.iter().map(|p| p.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_origin_is_matched_whole() {
        let origins = origins(&["https://school.example"], &[]);
        assert!(origins.admit(None));
        assert!(origins.admit(Some(&HeaderValue::from_static("https://school.example"))));
        for other in [
            "null",
            "http://school.example",
            "https://school.example:8443",
            "https://School.example",
            "https://school.example.evil.example",
            "https://evil-school.example",
            "https://school.example/",
        ] {
            assert!(!origins.admit(Some(&HeaderValue::from_static(other))), "{other}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let origins = origins(&[], &["10.0.0.0/8"]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.9, 10.1.1.1"));
        let address = |peer: &str| origins.client_address(peer.parse().unwrap(), &headers).to_string();
        assert_eq!(address("10.0.0.1:1"), "203.0.113.9");
        assert_eq!(address("198.51.100.1:1"), "198.51.100.1");
    }

    #[test]
    fn a_block_holds_its_own_addresses() {
        let contains =
            |block: &str, address: &str| block.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && contains("::/0", "::1") && !contains("::/0", "1.2.3.4"));
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "10.0.0.0".parse::<Network>().is_err());
    }
}
