//! The images of a local cluster: written where what they are made of has changed, loaded where a node lacks them. A tag says
//! what is in an image, so that a pod is replaced where its program has changed, and only there.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    /// Written unless it is there. Of each image the last one is kept.
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
            for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?.flatten()
            {
                if entry.path() != archive
                    && entry.file_name().to_string_lossy().starts_with(&format!("{name}@"))
                {
                    drop(fs::remove_file(entry.path())); // another xtask was quicker
                }
            }
        }
        Ok(Self { name, reference, archive })
    }
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
