//! The files of a pod that come from Secrets: named where a setting needs one, mounted by the template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeProjection,
};
use sha2::{Digest as _, Sha256};

use super::{hex, names};
use crate::{crd::SecretKey, facts::Facts};

/// Where they are.
pub(super) const FOLDER: &str = "/run/secrets/presence";
pub(super) const VOLUME: &str = "secrets";

/// Readable by the server's group, which `fsGroup` gives the files to, and by nobody else.
const MODE: i32 = 0o440;

#[derive(Clone, Debug, Default)]
pub(super) struct Mounts {
    files: Vec<(SecretKey, String)>,
    /// The cluster's name, where its shared secret is mounted as well.
    internal: Option<String>,
}

impl Mounts {
    /// Mounts a key as this file; says where it is.
    pub(super) fn file(&mut self, key: &SecretKey, file: &str) -> String {
        self.files.push((key.clone(), file.to_owned()));
        path(file)
    }

    pub(super) fn optional(&mut self, key: Option<&SecretKey>, file: &str) -> Option<String> {
        key.map(|key| self.file(key, file))
    }

    /// The secret that servers and operator say, and the one that they take as well.
    pub(super) fn internal(&mut self, cluster: &str) -> (String, String) {
        self.internal = Some(cluster.to_owned());
        (path("internal"), path("internal-accepted"))
    }

    pub(super) fn volume(&self) -> Volume {
        let mut by_secret = BTreeMap::<&str, Vec<KeyToPath>>::new();
        for (key, file) in &self.files {
            by_secret.entry(&key.name).or_default().push(item(&key.key, file));
        }
        let mut sources: Vec<_> =
            by_secret.into_iter().map(|(name, items)| source(name.to_owned(), items)).collect();
        if let Some(cluster) = &self.internal {
            let items = vec![item("secret", "internal"), item("accepted", "internal-accepted")];
            sources.push(source(names::internal_secret(cluster), items));
        }
        let projected = ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(sources) };
        Volume { name: VOLUME.to_owned(), projected: Some(projected), ..Volume::default() }
    }

    /// One fingerprint of all that is mounted. The shared secret is random, so nobody finds a weak password by it.
    pub(super) fn fingerprint(&self, facts: &Facts) -> String {
        let of = |key: &SecretKey| facts.secrets.get(key).map_or("absent", String::as_str);
        let mut hash = Sha256::new();
        for (key, file) in &self.files {
            hash.update(format!("{file} {} {} {}\n", key.name, key.key, of(key)));
        }
        if self.internal.is_some() {
            hash.update(facts.internal_secret.as_deref().unwrap_or("absent"));
        }
        hex(&hash.finalize()[..8])
    }
}

fn path(file: &str) -> String {
    format!("{FOLDER}/{file}")
}

fn item(key: &str, file: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: file.to_owned(), mode: None }
}

fn source(name: String, items: Vec<KeyToPath>) -> VolumeProjection {
    let secret = SecretProjection { name, items: Some(items), optional: None };
    VolumeProjection { secret: Some(secret), ..VolumeProjection::default() }
}
