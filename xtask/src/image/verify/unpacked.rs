//! An archive, read by what the OCI specification says rather than by the code that wrote it, and unpacked to a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use super::super::layer::Hashing;

#[derive(Debug)]
pub(super) struct Unpacked {
    folder: TempDir,
    pub(super) digest: String,
    pub(super) user: String,
    pub(super) entrypoint: String,
    pub(super) env: BTreeMap<String, String>,
}

impl Unpacked {
    pub(super) fn read(archive: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder to unpack to")?;
        let layout = folder.path().join("layout");
        unpack(File::open(archive).with_context(|| format!("open {}", archive.display()))?, &layout)?;
        let index: Value = json(&fs::read(layout.join("index.json")).context("read the index")?)?;
        let one = index["manifests"].as_array().filter(|all| all.len() == 1).and_then(|all| all.first());
        let descriptor = one.context("the index does not name one manifest")?;
        let digest = text(&descriptor["digest"])?;
        let manifest = json(&fs::read(blob(&layout, descriptor)?)?)?;
        let config = json(&fs::read(blob(&layout, &manifest["config"])?)?)?;
        let root = folder.path().join("root");
        fs::create_dir(&root).context("make the root")?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).context("open the root to others")?;
        let (layers, ids) = (manifest["layers"].as_array(), config["rootfs"]["diff_ids"].as_array());
        let (layers, ids) = (layers.context("no layers")?, ids.context("no ids of layers")?);
        ensure!(layers.len() == ids.len(), "{} layers, {} ids of layers", layers.len(), ids.len());
        for (layer, id) in layers.iter().zip(ids) {
            apply(&layout, layer, &text(id)?, &root)?;
        }
        let settings = &config["config"];
        let env = settings["Env"].as_array().into_iter().flatten();
        let env = env.filter_map(|line| line.as_str()?.split_once('='));
        Ok(Self {
            digest,
            user: text(&settings["User"])?,
            entrypoint: text(&settings["Entrypoint"][0])?,
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            folder,
        })
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

fn json(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).context("read JSON of the archive")
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

/// A blob of the layout, whose bytes are as many and have the digest that its descriptor says.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = text(&descriptor["digest"])?;
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let mut file = File::open(&path).with_context(|| format!("open the blob {digest}"))?;
    let mut seen = Hashing::new(io::sink());
    io::copy(&mut file, &mut seen).with_context(|| format!("read the blob {digest}"))?;
    let (_, seen) = seen.parts();
    ensure!(seen.digest() == digest, "the blob {digest} has the digest {}", seen.digest());
    ensure!(Some(seen.bytes) == descriptor["size"].as_u64(), "the blob {digest} is not as long as said");
    Ok(path)
}

fn apply(layout: &Path, descriptor: &Value, id: &str, root: &Path) -> Result<()> {
    let path = blob(layout, descriptor)?;
    let open = || File::open(&path).context("open the layer");
    let plain = || -> Result<Box<dyn Read>> {
        Ok(match text(&descriptor["mediaType"])?.rsplit_once('.').map(|(_, kind)| kind) {
            Some("tar") => Box::new(open()?),
            Some("tar+gzip") => Box::new(GzDecoder::new(open()?)),
            other => bail!("a layer of kind {other:?}"),
        })
    };
    let mut seen = Hashing::new(io::sink());
    io::copy(&mut plain()?, &mut seen).context("read the layer")?;
    ensure!(seen.parts().1.digest() == id, "a layer's content is not {id}");
    unpack(plain()?, root)
}

/// With modes, and as root with owners.
fn unpack(from: impl Read, to: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.unpack(to).with_context(|| format!("unpack to {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::super::super::recipe::{Folder, Recipe};
    use super::*;

    fn archive(folder: &Path) -> PathBuf {
        let recipe = Recipe {
            programs: vec![("/bin/sh".into(), "/usr/local/bin/shell".to_owned())],
            texts: vec![("/etc/mark".to_owned(), "a mark that is found again".to_owned())],
            dirs: vec![Folder::of_user("/var/lib/x")],
            entrypoint: vec!["/usr/local/bin/shell".to_owned()],
            ..Recipe::new("presence.rs/test", "1")
        };
        recipe.write(&folder.join("x.tar")).unwrap().path
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let image = Unpacked::read(&archive(folder.path())).unwrap();
        assert_eq!((image.user.as_str(), image.entrypoint.as_str()), ("65532:65532", "/usr/local/bin/shell"));
        assert_eq!(image.env["SSL_CERT_FILE"], "/etc/ssl/certs/ca-certificates.crt");
        let mode = |path: &str| fs::metadata(image.root().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("tmp"), mode("var/lib/x"), mode("usr/local/bin/shell")), (0o1777, 0o700, 0o755));
        let passwd = fs::read_to_string(image.root().join("etc/passwd")).unwrap();
        assert!(passwd.contains("presence:x:65532:65532:"));
        assert!(
            image.root().join("lib/x86_64-linux-gnu/libc.so.6").exists() || !cfg!(target_arch = "x86_64")
        );
    }

    #[test]
    fn a_blob_that_is_not_what_it_is_called_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        let mark = bytes.windows(6).position(|at| at == b"a mark").unwrap();
        bytes[mark] = b'A';
        fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", Unpacked::read(&path).unwrap_err());
        assert!(error.contains("has the digest"), "{error}");
    }
}
