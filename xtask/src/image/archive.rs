//! The archive: an OCI image layout in one tar file, as `ctr image import`, podman, skopeo and crane read it, with the
//! `manifest.json` that `docker load` asks for. Its bytes follow from the layers and the settings alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::layer::{Layer, Sum};

pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What the layers are put together to.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) layers: Vec<Layer>,
    /// The image's configuration, layers included.
    pub(super) config: Value,
    pub(super) annotations: Value,
    /// `repository:tag`.
    pub(super) reference: String,
}

impl Image {
    /// Writes the archive whole or not at all; the answer is the manifest's digest.
    pub(super) fn write(mut self, to: &Path) -> Result<String> {
        let folder = to.parent().context("an archive lies in a folder")?;
        let file = tempfile::NamedTempFile::new_in(folder)
            .with_context(|| format!("write to {}", folder.display()))?;
        let digest = self.pack(Builder::new(io::BufWriter::new(file.as_file())))?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).context("open it to readers")?;
        file.persist(to).with_context(|| format!("write {}", to.display()))?;
        Ok(digest)
    }

    fn pack(&mut self, mut tar: Builder<io::BufWriter<&File>>) -> Result<String> {
        let config = serde_json::to_vec(&self.config).context("write the configuration")?;
        let manifest = serde_json::to_vec(&self.manifest(&config)).context("write the manifest")?;
        let digest = Sum::of(&manifest);
        text(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        text(&mut tar, "index.json", &serde_json::to_vec(&self.index(&manifest))?)?;
        text(&mut tar, "manifest.json", &serde_json::to_vec(&self.for_docker(&config))?)?;
        folder(&mut tar, "blobs/")?;
        folder(&mut tar, "blobs/sha256/")?;
        text(&mut tar, &blob(&Sum::of(&config)), &config)?;
        text(&mut tar, &blob(&digest), &manifest)?;
        for layer in &mut self.layers {
            put(&mut tar, &blob(&layer.digest), layer.bytes, &mut layer.blob)?;
        }
        let file = tar.into_inner().context("finish the archive")?;
        file.into_inner().map_err(io::IntoInnerError::into_error).context("finish the archive")?;
        Ok(digest)
    }

    fn manifest(&self, config: &[u8]) -> Value {
        let layer = |layer: &Layer| json!({ "digest": layer.digest, "mediaType": layer.media_type, "size": layer.bytes });
        json!({
            "annotations": self.annotations,
            "config": { "digest": Sum::of(config), "mediaType": CONFIG, "size": config.len() },
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
            "mediaType": MANIFEST,
            "schemaVersion": 2,
        })
    }

    /// containerd takes the name from its own annotation, others from the one of OCI.
    fn index(&self, manifest: &[u8]) -> Value {
        let names = json!({
            "io.containerd.image.name": self.reference,
            "org.opencontainers.image.ref.name": self.reference,
        });
        json!({
            "manifests": [{
                "annotations": names,
                "digest": Sum::of(manifest),
                "mediaType": MANIFEST,
                "platform": { "architecture": architecture(), "os": "linux" },
                "size": manifest.len(),
            }],
            "mediaType": INDEX,
            "schemaVersion": 2,
        })
    }

    fn for_docker(&self, config: &[u8]) -> Value {
        let layers: Vec<String> = self.layers.iter().map(|layer| blob(&layer.digest)).collect();
        json!([{ "Config": blob(&Sum::of(config)), "Layers": layers, "RepoTags": [self.reference] }])
    }
}

/// As Go, and so OCI, calls it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn folder(tar: &mut Builder<impl io::Write>, path: &str) -> Result<()> {
    let mut header = header(0o755, 0);
    header.set_entry_type(EntryType::Directory);
    tar.append_data(&mut header, path, io::empty()).with_context(|| format!("write {path}"))
}

fn text(tar: &mut Builder<impl io::Write>, path: &str, bytes: &[u8]) -> Result<()> {
    put(tar, path, bytes.len() as u64, bytes)
}

fn put(tar: &mut Builder<impl io::Write>, path: &str, bytes: u64, from: impl Read) -> Result<()> {
    tar.append_data(&mut header(0o644, bytes), path, from).with_context(|| format!("write {path}"))
}

fn header(mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header
}
