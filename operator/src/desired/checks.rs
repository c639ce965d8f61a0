//! What the schema cannot refuse, or might not: the last net in front of the pods.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

use super::{Unservable, names};
use crate::crd::{Pod, PresenceClusterSpec};

pub(super) fn check(spec: &PresenceClusterSpec) -> Result<(), Unservable> {
    let sources = &spec.service.load_balancer_source_ranges;
    each("spec.service.loadBalancerSourceRanges", sources, |field, text| cidr(field, text))?;
    each("spec.doors.trustedProxies", &spec.doors.trusted_proxies, |field, text| cidr(field, text))?;
    let policy = &spec.network_policy;
    each("spec.networkPolicy.clients", &policy.clients, peer)?;
    each("spec.networkPolicy.monitoring", &policy.monitoring, peer)?;
    each("spec.networkPolicy.backing", &policy.backing, peer)?;
    pod(&spec.pod)?;
    reserved("spec.monitoring.labels", &spec.monitoring.labels, OWN)?;
    reserved("spec.service.annotations", &spec.service.annotations, &[names::OURS])?;
    if let Some(ingress) = spec.route.as_ref().and_then(|route| route.ingress.as_ref()) {
        reserved("spec.route.ingress.annotations", &ingress.annotations, &[names::OURS])?;
    }
    if spec.image.tag.is_none() && spec.image.digest.is_none() {
        return Err(Unservable::spec("spec.image", "neither tag nor digest; give one of them"));
    }
    if spec.doors.socketio.enabled == Some(true) && spec.redis.is_none() {
        let why = "the Socket.IO door needs spec.redis: pods share the lesson state in it";
        return Err(Unservable::spec("spec.doors.socketio.enabled", why));
    }
    Ok(())
}

/// What every object of ours is found by.
const OWN: &[&str] = &[names::OURS, names::NAME, names::INSTANCE, names::COMPONENT, names::MANAGED_BY];
/// Keys that selectors and the API server's own controllers live by.
const LABELS: &[&str] = &[names::OURS, "app.kubernetes.io/", "pod-template-hash"];
/// The old ways to choose another profile than `RuntimeDefault`.
const PROFILES: &[&str] =
    &["container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/"];

fn pod(of: &Pod) -> Result<(), Unservable> {
    reserved("spec.pod.labels", &of.labels, LABELS)?;
    reserved("spec.pod.annotations", &of.annotations, &[names::OURS])?;
    reserved("spec.pod.annotations", &of.annotations, PROFILES)
}

fn each<T>(
    field: &str,
    items: &[T],
    check: impl Fn(String, &T) -> Result<(), Unservable>,
) -> Result<(), Unservable> {
    items.iter().enumerate().try_for_each(|(index, item)| check(format!("{field}[{index}]"), item))
}

fn peer(field: String, of: &NetworkPolicyPeer) -> Result<(), Unservable> {
    let Some(block) = &of.ip_block else {
        let is_any = of.pod_selector.is_some() || of.namespace_selector.is_some();
        let why = "names nobody: give ipBlock, podSelector or namespaceSelector";
        return if is_any { Ok(()) } else { Err(Unservable::spec(field, why)) };
    };
    cidr(format!("{field}.ipBlock.cidr"), &block.cidr)?;
    each(&format!("{field}.ipBlock.except"), block.except.as_deref().unwrap_or_default(), |field, text| {
        cidr(field, text)
    })
}

fn cidr(field: String, text: &str) -> Result<(), Unservable> {
    let is_network = text.split_once('/').is_some_and(|(address, length)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        let is_short = length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
        is_short && length.parse::<u8>().is_ok_and(|length| length <= most)
    });
    if is_network { Ok(()) } else { Err(Unservable::Cidr { field, text: text.to_owned() }) }
}

fn reserved(field: &str, keys: &BTreeMap<String, String>, ours: &[&str]) -> Result<(), Unservable> {
    match keys.keys().find(|key| ours.iter().any(|prefix| key.starts_with(prefix))) {
        Some(key) => Err(Unservable::Reserved { field: field.to_owned(), key: key.clone() }),
        None => Ok(()),
    }
}
