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
    /// The operator's own pods, which ask the servers for their agents. Absent where it runs outside the cluster.
    pub operator: Option<OperatorPods>,
    /// Of the addresses that pods get: that of the cluster's own first Service network.
    pub family: Family,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    pub database: Option<u16>,
    /// Of `database.migrationUrlSecret`, where there is one: migrations may go around a pooler.
    pub migration: Option<u16>,
    pub redis: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// `monitoring.coreos.com/v1` `PodMonitor`.
    pub pod_monitor: bool,
    /// `gateway.networking.k8s.io/v1` `HTTPRoute`.
    pub http_route: bool,
}

/// How a NetworkPolicy knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorPods {
    pub namespace: String,
    /// Never empty: an empty selector would be the whole namespace.
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Ipv4,
    Ipv6,
}

impl Family {
    /// As `KUBERNETES_SERVICE_HOST` has it, which each pod is told: a pod's first address is of the same family.
    pub fn of_service_host(host: &str) -> Self {
        if host.contains(':') { Self::Ipv6 } else { Self::Ipv4 }
    }
}

impl Facts {
    /// What is taken for granted where no cluster is asked: all Secrets are there, and every kind is known.
    pub fn assumed() -> Self {
        let labels = [("app.kubernetes.io/name".to_owned(), "presence-operator".to_owned())];
        Self {
            internal_secret: Some("assumed".to_owned()),
            kinds: Kinds { pod_monitor: true, http_route: true },
            operator: Some(OperatorPods { namespace: "presence-system".to_owned(), labels: labels.into() }),
            ..Self::default()
        }
    }
}
