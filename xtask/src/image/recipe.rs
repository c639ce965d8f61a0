//! What goes into an image, and how it becomes an archive. The images that are shipped are recipes (`products.rs`), and so
//! are those that tests make of programs of the system.
//!
//! The same recipe over the same files gives the same digest, wherever and whenever it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::archive::{self, Image};
use super::layer::Layer;
use super::tree::{Entry, Tree};
use super::{base, closure};

/// `Recipe { programs: …, ..Recipe::new("presence.rs/redis", "7") }`.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The repository: what stands before the tag in a pod's `image`.
    pub(crate) name: String,
    pub(crate) tag: String,
    /// Programs of this machine and their places in the image. Their shared libraries come along.
    pub(crate) programs: Vec<(PathBuf, String)>,
    /// Files, or folders with all that is in them, and their places. What is loaded with programs and libraries among them
    /// comes along, too.
    pub(crate) trees: Vec<(PathBuf, String)>,
    /// Places below which `trees` bring nothing.
    pub(crate) leave_out: Vec<String>,
    /// Files by their text.
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) dirs: Vec<Folder>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) entrypoint: Vec<String>,
    /// Arguments where a pod gives none.
    pub(crate) command: Vec<String>,
    /// By number, so that Kubernetes can tell that it is not root.
    pub(crate) user: String,
    pub(crate) workdir: String,
    pub(crate) ports: Vec<u16>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Layers gzipped: right for a registry, and slow; not needed to load an image on the spot.
    pub(crate) gzip: bool,
}

/// A folder of its own owner, such as one for data.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// User and group.
    pub(crate) owner: u32,
}

impl Folder {
    /// One that the image's user, and nobody else, may use.
    pub(crate) fn of_user(path: &str) -> Self {
        Self { path: path.to_owned(), mode: 0o700, owner: base::USER }
    }
}

/// What came of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) path: PathBuf,
    /// `repository:tag`, as the archive names the image.
    pub(crate) reference: String,
    /// The manifest's: what `repository@sha256:…` says.
    pub(crate) digest: String,
    /// Of all layers, as a registry would send them.
    pub(crate) bytes: u64,
    pub(crate) unpacked: u64,
}

impl Recipe {
    /// Nothing but the base, to be run by a user without rights.
    pub(crate) fn new(name: &str, tag: &str) -> Self {
        let user = base::USER;
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("SSL_CERT_FILE", base::CERTIFICATES),
        ];
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            programs: Vec::new(),
            trees: Vec::new(),
            leave_out: Vec::new(),
            texts: Vec::new(),
            dirs: Vec::new(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: format!("{user}:{user}"),
            workdir: "/".to_owned(),
            ports: Vec::new(),
            labels: BTreeMap::new(),
            created: 0,
            gzip: false,
        }
    }

    pub(crate) fn reference(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }

    /// Writes the archive; folders above it are made.
    pub(crate) fn write(&self, to: &Path) -> Result<Built> {
        self.write_archive(to).with_context(|| format!("make the image {}", self.reference()))
    }

    fn write_archive(&self, to: &Path) -> Result<Built> {
        self.check()?;
        let folder = to.parent().context("an archive lies in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let (base, own) = self.trees()?;
        let layers = vec![Layer::write(&base, self.gzip, folder)?, Layer::write(&own, self.gzip, folder)?];
        let bytes = layers.iter().map(|layer| layer.bytes).sum();
        let unpacked = layers.iter().map(|layer| layer.unpacked).sum();
        let config = self.config(&layers)?;
        let reference = self.reference();
        let image = Image { layers, config, annotations: json!(self.labels), reference: reference.clone() };
        Ok(Built { path: to.to_owned(), reference, digest: image.write(to)?, bytes, unpacked })
    }

    /// What would otherwise be found out by a node that is asked to run it.
    fn check(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            bail!("`{}` is not a repository: small letters, digits and ._-/", self.name);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.tag.is_empty() || self.tag.len() > 128 || self.tag.starts_with(['.', '-']) {
            bail!("`{}` is not a tag: up to 128 letters, digits and ._-, not starting with . or -", self.tag);
        }
        if let Some(wrong) = self.tag.chars().find(|c| !allowed(*c)) {
            bail!("`{}` is not a tag: it has a `{wrong}`", self.tag);
        }
        if let Some((_, place)) = self.programs.iter().find(|(from, _)| !from.exists()) {
            bail!("the program for {place} does not exist");
        }
        Ok(())
    }

    /// The base layer, and what is ours on top of it.
    pub(super) fn trees(&self) -> Result<(Tree, Tree)> {
        let mut own = Tree::default();
        for (from, at) in &self.programs {
            let from = from.canonicalize().with_context(|| format!("find {}", from.display()))?;
            if !closure::is_elf(&from)? {
                bail!("{} is not a program but a script or data: bring it as a tree", from.display());
            }
            let mut entry = Entry::file(&from)?;
            entry.mode = 0o755;
            own.put(at, entry)?;
        }
        for (from, at) in &self.trees {
            let from = from.canonicalize().with_context(|| format!("find {}", from.display()))?;
            own.bring(&from, at, &self.leave_out)?;
        }
        let loaded = loaded_by(&own)?;
        for (at, text) in &self.texts {
            own.put(at, Entry::text(text.as_str()))?;
        }
        for dir in &self.dirs {
            own.put(&dir.path, Entry::dir(dir.mode, dir.owner))?;
        }
        let c_library = loaded.iter().find(|path| path.ends_with("libc.so.6"));
        let base = base::tree(c_library.map(PathBuf::as_path))?;
        if let Some(folder) = c_library.and_then(|path| path.parent()) {
            let mut libraries = base.clone();
            for library in &loaded {
                base::add_library(&mut libraries, library, folder)?;
            }
            for (path, entry) in libraries.over(&base).entries() {
                let path = format!("/{path}");
                if own.get(&path).is_none() {
                    own.put(&path, entry.clone())?;
                }
            }
        }
        let over = own.over(&base);
        Ok((base, over))
    }

    fn config(&self, layers: &[Layer]) -> Result<Value> {
        let created = jiff::Timestamp::from_second(self.created).context("read the time of creation")?;
        let created = created.to_string();
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ports: BTreeMap<String, Value> =
            self.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        let step =
            |what: &str| json!({ "comment": what, "created": created, "created_by": "cargo xtask image" });
        Ok(json!({
            "architecture": archive::architecture(),
            "config": {
                "Cmd": self.command,
                "Entrypoint": self.entrypoint,
                "Env": env,
                "ExposedPorts": ports,
                "Labels": self.labels,
                "User": self.user,
                "WorkingDir": self.workdir,
            },
            "created": created,
            "history": [step("base"), step(&self.name)],
            "os": "linux",
            "rootfs": {
                "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
                "type": "layers",
            },
        }))
    }
}

/// What the programs and libraries in a tree are loaded with.
fn loaded_by(tree: &Tree) -> Result<Vec<PathBuf>> {
    let mut loaded = Vec::new();
    for file in tree.files() {
        if closure::is_elf(file)? {
            loaded.extend(closure::libraries(file)?);
        }
    }
    loaded.sort_unstable();
    loaded.dedup();
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A shell, a folder of files made in this order, and whatever else a recipe can say.
    fn recipe(folder: &Path, files: &[&str]) -> Recipe {
        let files = files.iter().map(|name| {
            let path = folder.join(name);
            fs::write(&path, name).unwrap();
            (path, format!("/usr/share/{name}"))
        });
        Recipe {
            programs: vec![("/bin/sh".into(), "/usr/local/bin/shell".to_owned())],
            trees: files.collect(),
            texts: vec![("/etc/x.conf".to_owned(), "x = 1".to_owned())],
            dirs: vec![Folder { path: "/var/lib/x".to_owned(), mode: 0o700, owner: 65532 }],
            entrypoint: vec!["/usr/local/bin/shell".to_owned()],
            ports: vec![8080],
            labels: [("org.opencontainers.image.title".to_owned(), "x".to_owned())].into(),
            ..Recipe::new("presence.rs/test", "1")
        }
    }

    fn unpacked(built: &Built) -> (tempfile::TempDir, Value, Value) {
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(fs::File::open(&built.path).unwrap()).unpack(folder.path()).unwrap();
        let read = |path: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.path().join(path)).unwrap()).unwrap()
        };
        let blob = |value: &Value| format!("blobs/{}", value["digest"].as_str().unwrap().replace(':', "/"));
        let manifest = read(&blob(&read("index.json")["manifests"][0]));
        let config = read(&blob(&manifest["config"]));
        (folder, manifest, config)
    }

    #[test]
    fn the_same_recipe_gives_the_same_archive_elsewhere_and_later() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = recipe(one.path(), &["a", "b", "c"]).write(&one.path().join("x.tar")).unwrap();
        let mut second = recipe(two.path(), &["c", "a", "b"]);
        second.trees.reverse();
        let old = fs::File::open(two.path().join("a")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        let second = second.write(&two.path().join("deep/x.tar")).unwrap();
        assert_eq!(first.digest, second.digest);
        assert!(fs::read(first.path).unwrap() == fs::read(second.path).unwrap());
    }

    #[test]
    fn whatever_is_in_it_is_in_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |change: &dyn Fn(&mut Recipe)| {
            let mut recipe = recipe(folder.path(), &["a"]);
            change(&mut recipe);
            recipe.write(&folder.path().join("x.tar")).unwrap().digest
        };
        let plain = digest(&|_| {});
        assert_ne!(plain, digest(&|it| it.texts[0].1.push('2')));
        assert_ne!(plain, digest(&|it| it.created = 1));
        assert_ne!(plain, digest(&|it| it.dirs[0].owner = 0));
        assert_ne!(plain, digest(&|it| it.user = "0:0".to_owned()));
        assert_eq!(plain, digest(&|it| it.tag = "2".to_owned()));
    }

    #[test]
    fn images_of_dynamic_programs_share_their_base() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let shell = recipe(folder.path(), &["a"]).write(&path("shell.tar")).unwrap();
        let other = Recipe {
            programs: vec![("/bin/ls".into(), "/bin/ls".to_owned())],
            ..Recipe::new("presence.rs/ls", "1")
        };
        let other = other.write(&path("ls.tar")).unwrap();
        let layers = |built: &Built| unpacked(built).1["layers"].clone();
        assert_eq!(layers(&shell)[0], layers(&other)[0]);
        assert_ne!(layers(&shell)[1], layers(&other)[1]);
    }

    #[test]
    fn the_configuration_says_how_to_run_it() {
        let folder = tempfile::tempdir().unwrap();
        let built = recipe(folder.path(), &["a"]).write(&folder.path().join("x.tar")).unwrap();
        let (_folder, manifest, config) = unpacked(&built);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/local/bin/shell"]));
        assert_eq!(config["config"]["ExposedPorts"], json!({ "8080/tcp": {} }));
        assert_eq!(config["created"], "1970-01-01T00:00:00Z");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "x");
    }

    #[test]
    fn recipes_that_no_node_could_run_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |recipe: Recipe| format!("{:#}", recipe.write(&folder.path().join("x.tar")).unwrap_err());
        assert!(error(Recipe::new("Presence", "1")).contains("`Presence`"));
        assert!(error(Recipe::new("presence", "a b")).contains("` `"));
        assert!(error(Recipe::new("presence", "")).contains("not a tag"));
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let with = |program: &Path| Recipe {
            programs: vec![(program.into(), "/bin/x".to_owned())],
            ..Recipe::new("presence", "1")
        };
        assert!(error(with(&script)).contains("not a program"));
        assert!(error(with(&folder.path().join("absent"))).contains("does not exist"));
    }
}
