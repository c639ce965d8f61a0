//! The ports of what presence stands on, from the URLs of the spec and what is known of those in Secrets. Where such a URL is that
//! of a Service, a policy sees the port of the pod behind it, which only who writes the spec can know.

use std::collections::BTreeSet;

use url::Url;

use crate::{crd::PresenceClusterSpec, facts::Facts};

const POSTGRESQL: u16 = 5432;
const REDIS: u16 = 6379;
const NATS: u16 = 4222;

pub(super) fn of_servers(spec: &PresenceClusterSpec, facts: &Facts) -> BTreeSet<i32> {
    let nats = spec.nats.urls.iter().filter_map(|url| Some(Url::parse(url).ok()?.port().unwrap_or(NATS)));
    let issuers = spec.auth.issuers.iter().filter_map(|issuer| issuer.jwks_url.as_ref());
    let web = issuers
        .chain(&spec.auth.authz.url)
        .chain(&spec.monitoring.otlp_endpoint)
        .chain(spec.analytics.as_ref().map(|analytics| &analytics.url))
        .filter_map(|url| Url::parse(url).ok()?.port_or_known_default());
    let redis = spec.redis.as_ref().map(|_| facts.ports.redis.unwrap_or(REDIS));
    let database = facts.ports.database.unwrap_or(POSTGRESQL);
    let known = nats.chain(web).chain(redis).chain([database]).map(i32::from);
    known.chain(spec.network_policy.backing_ports.iter().copied()).collect()
}

pub(super) fn of_migrations(spec: &PresenceClusterSpec, facts: &Facts) -> BTreeSet<i32> {
    let own = spec.database.migration_url_secret.as_ref().and(facts.ports.migration);
    let port = match &spec.database.migration_url_secret {
        Some(_) => own,
        None => facts.ports.database,
    };
    let known = i32::from(port.unwrap_or(POSTGRESQL));
    spec.network_policy.backing_ports.iter().copied().chain([known]).collect()
}
