//! The template of a server's pod. Whatever is in it is in its revision: a change here restarts the pods of everybody who
//! upgrades the operator.

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec,
        PodTemplateSpec, Volume,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    Revision, Unservable, canonical, life, mounts,
    names::{self, Component, INTERNAL, METRICS, Owner, PUBLIC},
    place, security,
    settings::{self, Configuration},
};
use crate::facts::{Facts, Family};

pub(super) const CONTAINER: &str = "presence";

/// The pods of this revision.
pub(super) fn template(
    owner: Owner<'_>,
    facts: &Facts,
    configuration: &Configuration,
    revision: &Revision,
) -> Result<PodTemplateSpec, Unservable> {
    let pod = &owner.of.spec.pod;
    let mut labels = pod.labels.clone();
    labels.extend(names::labels(owner.name));
    labels.extend(names::pods_at(owner.name, Component::Server, revision));
    let mut annotations = pod.annotations.clone();
    annotations.insert(names::SECRETS.to_owned(), configuration.mounts.fingerprint(facts));
    let base = base(owner);
    let spec = PodSpec {
        containers: vec![container(owner, facts.family)?],
        volumes: Some(vec![
            config_volume(names::of_revision(owner.name, revision)),
            configuration.mounts.volume(),
            security::scratch("data", "64Mi"),
            security::scratch("tmp", "64Mi"),
        ]),
        termination_grace_period_seconds: Some(life::grace(&owner.of.spec.drain)),
        affinity: base.affinity.clone().or_else(|| place::zones(pod.spread, owner.name, revision)),
        topology_spread_constraints: place::spread(pod.spread, owner.name, revision),
        ..base
    };
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    })
}

/// What servers and migrations have in common: whom they run as, and where.
pub(super) fn base(owner: Owner<'_>) -> PodSpec {
    let spec = &owner.of.spec;
    let pod = &spec.pod;
    PodSpec {
        service_account_name: Some(owner.name.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: place::pull_secrets(&spec.image),
        security_context: Some(security::of_pod()),
        priority_class_name: pod.priority_class_name.clone(),
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: (!pod.tolerations.is_empty()).then(|| canonical::handed_on(&pod.tolerations)),
        affinity: pod.affinity.as_ref().map(canonical::handed_on),
        ..PodSpec::default()
    }
}

fn container(owner: Owner<'_>, family: Family) -> Result<Container, Unservable> {
    let spec = &owner.of.spec;
    Ok(Container {
        name: CONTAINER.to_owned(),
        image: Some(place::image(&spec.image)),
        image_pull_policy: Some(place::pull_policy(&spec.image)),
        args: Some(vec!["serve".to_owned()]),
        env: Some(environment(family)),
        ports: Some([PUBLIC, INTERNAL, METRICS].into_iter().map(port).collect()),
        resources: Some(place::resources(&spec.pod)?),
        startup_probe: Some(life::startup()),
        readiness_probe: Some(life::readiness()),
        liveness_probe: Some(life::liveness()),
        lifecycle: life::pre_stop(&spec.drain),
        security_context: Some(security::of_container()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            security::readable("config", settings::FOLDER),
            security::readable(mounts::VOLUME, mounts::FOLDER),
            security::writable("data", settings::DATA_DIR),
            security::writable("tmp", "/tmp"),
        ]),
        ..Container::default()
    })
}

/// What differs from pod to pod, and therefore is not in the file.
fn environment(family: Family) -> Vec<EnvVar> {
    let address = match family {
        Family::Ipv4 => format!("$(POD_IP):{}", INTERNAL.1),
        Family::Ipv6 => format!("[$(POD_IP)]:{}", INTERNAL.1),
    };
    vec![
        set("PRESENCE_CONFIG", &format!("{}/{}", settings::FOLDER, settings::FILE)),
        from_field("POD_IP", "status.podIP"),
        from_field("PRESENCE_REPLICA__LABEL", "metadata.name"),
        set("PRESENCE_REPLICA__ADDRESS", &address),
    ]
}

pub(super) fn set(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

pub(super) fn from_field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

fn port((name, number): (&str, i32)) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn config_volume(name: String) -> Volume {
    let config_map = ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() };
    Volume { name: "config".to_owned(), config_map: Some(config_map), ..Volume::default() }
}
