//! The Job that brings the schema up to date before a revision serves. It sees the database's secrets and no others.

use k8s_openapi::{
    api::{
        batch::v1::{
            Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
            PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
        },
        core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    Revision,
    mounts::{self, Mounts},
    names::{self, Component, Owner},
    place, security, settings, template,
};

/// Tries of one Job; the operator makes another one later.
const RETRIES: i32 = 2;
/// A migration that takes longer waits for a lock that it will not get.
const DEADLINE_SECS: i64 = 1800;
const CONTAINER: &str = "migrate";
/// The server's exit codes for a wrong command line and wrong settings.
const WRONG_SETTINGS: [i32; 2] = [2, 78];

pub(super) fn job(owner: Owner<'_>, revision: &Revision) -> Job {
    let mut labels = names::labels(owner.name);
    labels.extend(names::pods_at(owner.name, Component::Migration, revision));
    let mut mounts = Mounts::default();
    let env = environment(owner, &mut mounts);
    let pod = PodSpec {
        containers: vec![container(owner, env)],
        restart_policy: Some("Never".to_owned()),
        volumes: Some(vec![
            mounts.volume(),
            security::scratch("data", "16Mi"),
            security::scratch("tmp", "16Mi"),
        ]),
        ..template::base(owner)
    };
    let metadata = ObjectMeta { labels: Some(labels), ..ObjectMeta::default() };
    let spec = JobSpec {
        backoff_limit: Some(RETRIES),
        active_deadline_seconds: Some(DEADLINE_SECS),
        pod_failure_policy: Some(failures()),
        template: PodTemplateSpec { metadata: Some(metadata), spec: Some(pod) },
        ..JobSpec::default()
    };
    let name = names::migration(owner.name, revision);
    Job { metadata: owner.metadata_at(name, Component::Migration, revision), spec: Some(spec), status: None }
}

/// A pod that had to leave its node is no try that failed; wrong settings do not mend by trying again.
fn failures() -> PodFailurePolicy {
    let moved = PodFailurePolicyOnPodConditionsPattern {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
    };
    let wrong = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.to_owned()),
        operator: "In".to_owned(),
        values: WRONG_SETTINGS.to_vec(),
    };
    let on_moved = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_pod_conditions: Some(vec![moved]),
        on_exit_codes: None,
    };
    let on_wrong = PodFailurePolicyRule {
        action: "FailJob".to_owned(),
        on_exit_codes: Some(wrong),
        on_pod_conditions: None,
    };
    PodFailurePolicy { rules: vec![on_moved, on_wrong] }
}

/// Settings of its own: those of the server name files that are not mounted here. A URL for migrations has its own
/// password in it; `passwordSecret` belongs to the role that serves.
fn environment(owner: Owner<'_>, mounts: &mut Mounts) -> Vec<EnvVar> {
    let database = &owner.of.spec.database;
    let (url, password) = match &database.migration_url_secret {
        Some(url) => (url, None),
        None => (&database.url_secret, database.password_secret.as_ref()),
    };
    let url = mounts.file(url, "database-url");
    let password = mounts.optional(password, "database-password");
    let ca = mounts.optional(database.ca_secret.as_ref(), "database-ca.pem");
    let settings = [
        ("PRESENCE_DATA_DIR", Some(settings::DATA_DIR.to_owned())),
        ("PRESENCE_LOG__FORMAT", Some("json".to_owned())),
        ("PRESENCE_LOG__LEVEL", Some(owner.of.spec.monitoring.log_level.clone())),
        ("PRESENCE_STORE__URL_FILE", Some(url)),
        ("PRESENCE_STORE__PASSWORD_FILE", password),
        ("PRESENCE_STORE__TLS_CA_FILE", ca),
    ];
    settings.into_iter().filter_map(|(name, value)| Some(template::set(name, &value?))).collect()
}

fn container(owner: Owner<'_>, env: Vec<EnvVar>) -> Container {
    let image = &owner.of.spec.image;
    Container {
        name: CONTAINER.to_owned(),
        image: Some(place::image(image)),
        image_pull_policy: Some(place::pull_policy(image)),
        args: Some(vec!["migrate".to_owned()]),
        env: Some(env),
        resources: Some(place::amounts(
            &[("cpu", "50m"), ("ephemeral-storage", "64Mi"), ("memory", "64Mi")],
            &[("ephemeral-storage", "256Mi"), ("memory", "256Mi")],
        )),
        security_context: Some(security::of_container()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            security::readable(mounts::VOLUME, mounts::FOLDER),
            security::writable("data", settings::DATA_DIR),
            security::writable("tmp", "/tmp"),
        ]),
        ..Container::default()
    }
}
