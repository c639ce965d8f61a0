//! The images of a local cluster: written where what they are made of has changed, loaded where a node lacks them. A tag says
//! what is in an image, so that a pod is replaced where its program has changed, and only there.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::programs::{PROGRAMS, Program};
use crate::cluster::Cluster;
use crate::image::{self, PRODUCTS, Product, Profile, Recipe};
use crate::workspace::Workspace;
use crate::{process, tools};

/// An archive, and what a pod calls the image in it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) reference: String,
    archive: PathBuf,
}

/// All that are needed, written.
#[derive(Debug)]
pub(crate) struct Images {
    all: Vec<Image>,
}

/// The binaries that go into the images of presence and its operator, in the order of `PRODUCTS`.
pub(crate) fn binaries(workspace: &Workspace, profile: Profile) -> Result<Vec<PathBuf>> {
    PRODUCTS.iter().map(|product| image::binary(workspace, product.name, profile)).collect()
}

impl Images {
    pub(crate) fn write(workspace: &Workspace, binaries: &[PathBuf]) -> Result<Self> {
        let maker = maker(workspace)?;
        let of_products = PRODUCTS
            .iter()
            .zip(binaries)
            .map(|(product, binary)| of_product(workspace, maker, product, binary));
        let of_programs = PROGRAMS.iter().map(|program| of_program(maker, program));
        Ok(Self { all: of_products.chain(of_programs).collect::<Result<_>>()? })
    }

    /// `repository:tag`.
    pub(crate) fn reference(&self, name: &str) -> Result<&str> {
        let found = self.all.iter().find(|image| image.name == name);
        found.map(|image| image.reference.as_str()).with_context(|| format!("there is no image of {name}"))
    }

    /// A manifest, with the images for their placeholders.
    pub(super) fn fill(&self, manifest: &str) -> Result<String> {
        PROGRAMS.iter().try_fold(manifest.to_owned(), |text, program| {
            Ok(text.replace(program.placeholder, self.reference(program.name)?))
        })
    }

    /// Nodes say which images they have, a little later than they have them: one that is loaded again does no harm.
    pub(crate) fn load(&self, cluster: &Cluster) -> Result<()> {
        let names = "jsonpath={range .items[*]}{.status.images[*].names}{\"\\n\"}{end}";
        let said = process::output(cluster.kubectl()?.args(["get", "nodes", "--output", names]))?;
        for image in &self.all {
            if !said.lines().all(|node| node.contains(&image.reference)) {
                cluster.load_image(&image.archive)?;
            }
        }
        Ok(())
    }
}

fn of_product(workspace: &Workspace, maker: u64, product: &Product, binary: &Path) -> Result<Image> {
    // By its bytes: strip gives the copy a new time each time.
    let sum = process::output(Command::new("sha256sum").arg("--binary").arg(binary))?;
    let tag = tag(&(maker, sum.split(' ').next()));
    let written = |to: &Path| product.recipe(workspace, binary, &tag)?.write(to);
    let folder = workspace.target().join("images/cluster");
    Image::at(product.name, format!("{}:{tag}", product.repository()), &folder, &tag, written)
}

fn of_program(maker: u64, program: &Program) -> Result<Image> {
    let recipe = (program.recipe)("unknown")?;
    let tag = tag(&(maker, made_of(&recipe)?));
    let recipe = Recipe { tag: tag.clone(), ..recipe };
    let folder = tools::cache()?.join("images");
    Image::at(program.name, recipe.reference(), &folder, &tag, |to| recipe.write(to))
}

impl Image {
    /// Written unless it is there.
    fn at(
        name: &'static str,
        reference: String,
        folder: &Path,
        tag: &str,
        write: impl FnOnce(&Path) -> Result<image::Built>,
    ) -> Result<Self> {
        let archive = folder.join(format!("{name}@{tag}.tar"));
        if !archive.exists() {
            let built = write(&archive)?;
            println!("up: image {reference}, {} MiB", built.unpacked >> 20);
            forget_old(name, folder)?;
        }
        Ok(Self { name, reference, archive })
    }
}

/// Archives of an image that were written longer ago go: an hour later no other xtask that shares the folder is about to load one.
const KEPT: Duration = Duration::from_hours(1);

fn forget_old(name: &str, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?.flatten() {
        let written = entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = written.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if age > KEPT && entry.file_name().to_string_lossy().starts_with(&format!("{name}@")) {
            drop(fs::remove_file(entry.path())); // another xtask was quicker
        }
    }
    Ok(())
}

fn tag(of: &impl std::hash::Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("local-{:016x}", hasher.finish())
}

/// What makes images of programs is part of what they are made of.
fn maker(workspace: &Workspace) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in workspace.files()? {
        if path.starts_with("xtask/src/image") {
            let text = fs::read(workspace.root.join(&path)).with_context(|| format!("read {path}"))?;
            (path, text).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

/// Programs of the system by size and time, like make.
fn made_of(recipe: &Recipe) -> Result<Vec<(String, u64, i64)>> {
    let files = recipe.programs.iter().chain(&recipe.trees);
    files
        .map(|(from, at)| {
            let meta = fs::metadata(from).with_context(|| format!("look at {}", from.display()))?;
            Ok((at.clone(), meta.size(), meta.mtime()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, tag: &str, times: &mut u32) -> Image {
        let write = |to: &Path| {
            *times += 1;
            fs::create_dir_all(folder)?;
            fs::write(to, tag)?;
            let path = to.to_owned();
            Ok(image::Built { path, reference: String::new(), digest: String::new(), bytes: 0, unpacked: 0 })
        };
        Image::at("redis", format!("presence.test/redis:{tag}"), folder, tag, write).unwrap()
    }

    #[test]
    fn an_image_is_written_once_and_an_old_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("images");
        let mut times = 0;
        written(&folder, "one", &mut times);
        let old = fs::File::open(folder.join("redis@one.tar")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::write(folder.join("nats@one.tar"), "").unwrap();
        let other = fs::File::options().write(true).open(folder.join("nats@one.tar")).unwrap();
        other.set_modified(std::time::UNIX_EPOCH).unwrap();
        let second = written(&folder, "two", &mut times);
        written(&folder, "two", &mut times);
        assert_eq!(times, 2);
        let mut left: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["nats@one.tar", "redis@two.tar"]);
        assert_eq!(second.reference, "presence.test/redis:two");
    }

    #[test]
    fn a_tag_follows_from_what_is_in_the_image() {
        assert_eq!(tag(&(1, "a")), tag(&(1, "a")));
        assert_ne!(tag(&(1, "a")), tag(&(2, "a")));
    }

    #[test]
    fn every_image_of_a_manifest_has_its_placeholder_filled() {
        let image = |program: &Program| Image {
            name: program.name,
            reference: format!("presence.test/{}:1", program.name),
            archive: PathBuf::new(),
        };
        let images = Images { all: PROGRAMS.iter().map(image).collect() };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cluster/backing");
        for program in &PROGRAMS {
            let text = fs::read_to_string(folder.join(format!("{}.yaml", program.name))).unwrap();
            assert!(text.contains(program.placeholder));
            let filled = images.fill(&text).unwrap();
            let of_pods: Vec<_> =
                filled.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
            assert!(
                of_pods.iter().all(|image| *image == format!("presence.test/{}:1", program.name)),
                "{of_pods:?}"
            );
        }
    }
}
