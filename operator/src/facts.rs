//! What the desired objects depend on beside the spec, as it was fetched. No secret is in it: fingerprints and ports.

use std::collections::BTreeMap;

use crate::crd::SecretKey;

/// Of the cluster around the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first 16 hex digits of the SHA-256 of each key that the spec refers to: a changed one is a new revision.
    pub secrets: BTreeMap<SecretKey, String>,
    /// The same of the shared secret of the admin API, once it exists.
    pub internal_secret: Option<String>,
    /// TCP ports that the URLs in Secrets name.
    pub ports: Ports,
    /// Which kinds the API server knows beside its own.
    pub kinds: Kinds,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    pub database: Option<u16>,
    pub redis: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// `monitoring.coreos.com/v1` `PodMonitor`.
    pub pod_monitor: bool,
    /// `gateway.networking.k8s.io/v1` `HTTPRoute`.
    pub http_route: bool,
}
