//! `replica`: who this process is among others.

use super::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replica {
    /// The name of the place this process runs in: a pod's name. When empty: `HOSTNAME`, else `local`.
    #[schemars(example = "presence-0")]
    pub label: String,
    /// Where other replicas reach this one's internal API. When empty: `internal.addr`.
    #[schemars(example = "10.1.2.3:8081")]
    pub address: String,
}

impl Replica {
    pub(super) fn resolve(&mut self, hostname: Option<&str>, internal: std::net::SocketAddr) {
        if self.label.is_empty() {
            hostname.filter(|name| !name.is_empty()).unwrap_or("local").clone_into(&mut self.label);
        }
        if self.address.is_empty() {
            self.address = internal.to_string();
        }
    }

    /// The internal port listens at `at`, and was to listen at `wish`: any free port, perhaps. Others are told which.
    pub fn settle(&mut self, wish: std::net::SocketAddr, at: std::net::SocketAddr) {
        if self.address == wish.to_string() {
            self.address = at.to_string();
        }
    }

    pub(super) fn check(&self, report: &mut Report) {
        let visible = |text: &str| text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if !visible(&self.label) {
            report.bad("replica.label", "not 1 to 255 visible ASCII characters");
        }
        if !visible(&self.address) {
            report.bad("replica.address", "not a host and a port");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_the_port_that_was_found_unless_an_address_is_set() {
        let (wish, at) = ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:4711".parse().unwrap());
        let mut unset = Replica::default();
        unset.resolve(None, wish);
        unset.settle(wish, at);
        assert_eq!(unset.address, "127.0.0.1:4711");
        let mut set = Replica { address: "presence-0.presence:8081".into(), ..Replica::default() };
        set.resolve(None, wish);
        set.settle(wish, at);
        assert_eq!(set.address, "presence-0.presence:8081");
    }
}
