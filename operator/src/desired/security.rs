//! How little a container may do: Pod Security `restricted`, and more.

use k8s_openapi::api::core::v1::{
    Capabilities, EmptyDirVolumeSource, PodSecurityContext, SeccompProfile, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The image's own user and group.
const NOBODY: i64 = 65532;

pub(super) fn of_pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        seccomp_profile: Some(runtime_default()),
        ..PodSecurityContext::default()
    }
}

pub(super) fn of_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        privileged: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

/// A folder to write to: full, it ends the pod and not the node.
pub(super) fn scratch(name: &str, size: &str) -> Volume {
    let empty_dir = EmptyDirVolumeSource { size_limit: Some(Quantity(size.to_owned())), medium: None };
    Volume { name: name.to_owned(), empty_dir: Some(empty_dir), ..Volume::default() }
}

pub(super) fn writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(super) fn readable(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..writable(name, path) }
}
