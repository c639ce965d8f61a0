//! `cargo xtask image`: container images as OCI archives, without a Docker daemon.
//!
//! This file owns the command line. `Recipe` is what others make images with, the shipped ones are in `products.rs`, and
//! `docs/adr/0013-images.md` says why they are as they are.

mod archive;
mod base;
mod binary;
mod closure;
mod layer;
mod licences;
mod packages;
mod products;
mod recipe;
mod revision;
mod tree;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

pub(crate) use binary::{Profile, build as binary};
pub(crate) use products::{PRODUCTS, Product};
pub(crate) use recipe::{Built, Folder, Recipe};

use crate::workspace::Workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Wish {
    /// `presence` or `presence-operator`; without a name, all that are shipped
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Where the archives go [default: `images` in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// [default: the version, or `dev` with that profile]
    #[arg(long)]
    tag: Option<String>,
    /// Unpack each image and run its program there, as its user, with nothing writable
    #[arg(long)]
    verify: bool,
    /// Another image: its repository. What is in it is said by the options below
    #[arg(long, value_name = "REPOSITORY", conflicts_with_all = ["names", "profile", "verify"], requires = "programs")]
    extra: Option<String>,
    /// A program for it, whose libraries come along; it keeps its place where no other is given
    #[arg(long = "program", value_name = "SRC[:DST]", requires = "extra")]
    programs: Vec<String>,
    /// A file or a folder for it
    #[arg(long = "file", value_name = "SRC[:DST]", requires = "extra")]
    files: Vec<String>,
    /// A folder of it that its user may write to
    #[arg(long = "dir", value_name = "DST", requires = "extra")]
    dirs: Vec<String>,
    /// What it runs [default: its first program]
    #[arg(long, value_name = "WORD", requires = "extra")]
    entrypoint: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, wish: &Wish) -> Result<ExitCode> {
    let out = wish.out.clone().unwrap_or_else(|| workspace.target().join("images"));
    if let Some(repository) = &wish.extra {
        let recipe = extra(repository, wish);
        let name = repository.rsplit('/').next().unwrap_or(repository);
        report(&recipe.write(&out.join(format!("{name}.tar")))?);
        return Ok(ExitCode::SUCCESS);
    }
    for product in chosen(workspace, &wish.names)? {
        let built = build(workspace, product, wish.profile, wish.tag.as_deref(), &out)?;
        report(&built);
        if wish.verify {
            verify::verify(&built, product)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds a product's binary and makes its image, `NAME.tar` in `out`.
pub(crate) fn build(
    workspace: &Workspace,
    product: &Product,
    profile: Profile,
    tag: Option<&str>,
    out: &Path,
) -> Result<Built> {
    let since = Instant::now();
    println!("{}: building the binary …", product.name);
    let binary = binary::build(workspace, product.name, profile)?;
    println!("{}: putting the image together ({} s so far) …", product.name, since.elapsed().as_secs());
    let version = product.package(workspace).and_then(|package| package["version"].as_str());
    let tag = tag.or(if profile == Profile::Dev { Some("dev") } else { version });
    let mut recipe = product.recipe(workspace, &binary, tag.context("the crate has no version")?)?;
    recipe.gzip = profile == Profile::Release;
    recipe.write(&out.join(format!("{}.tar", product.name)))
}

/// A crate that is not there yet is left out only where nobody asked for it by name.
fn chosen(workspace: &Workspace, names: &[String]) -> Result<Vec<&'static Product>> {
    if names.is_empty() {
        return Ok(PRODUCTS.iter().filter(|product| product.package(workspace).is_some()).collect());
    }
    let known = |name: &String| match PRODUCTS.iter().find(|product| product.name == name) {
        Some(product) if product.package(workspace).is_some() => Ok(product),
        Some(_) => bail!("the workspace has no crate {name}"),
        None => bail!("no image `{name}`; there are: {}", PRODUCTS.map(|product| product.name).join(", ")),
    };
    names.iter().map(known).collect()
}

fn extra(repository: &str, wish: &Wish) -> Recipe {
    let programs: Vec<_> = wish.programs.iter().map(|text| from_to(text)).collect();
    let first = programs.first().map(|(_, to)| to.clone());
    let entrypoint =
        if wish.entrypoint.is_empty() { first.into_iter().collect() } else { wish.entrypoint.clone() };
    Recipe {
        programs,
        trees: wish.files.iter().map(|text| from_to(text)).collect(),
        dirs: wish.dirs.iter().map(|path| Folder::of_user(path)).collect(),
        entrypoint,
        ..Recipe::new(repository, wish.tag.as_deref().unwrap_or("dev"))
    }
}

/// `SRC:DST`, or one path for both.
fn from_to(text: &str) -> (PathBuf, String) {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    (from.into(), to.to_owned())
}

fn report(built: &Built) {
    println!("{}", built.reference);
    println!("  archive  {}", built.path.display());
    println!("  digest   {}", built.digest);
    println!("  size     {} MiB to fetch, {} MiB unpacked", mib(built.bytes), mib(built.unpacked));
}

/// With one decimal.
fn mib(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        wish: Wish,
    }

    fn wish(line: &str) -> Result<Wish, clap::Error> {
        Line::try_parse_from(format!("image {line}").trim_end().split(' ')).map(|line| line.wish)
    }

    #[test]
    fn another_image_is_described_by_options() {
        let line = "--extra a/redis --program /usr/bin/redis-server:/bin/redis --file /etc/hosts --dir /data --tag 7";
        let recipe = extra("a/redis", &wish(line).unwrap());
        assert_eq!(recipe.reference(), "a/redis:7");
        assert_eq!(recipe.programs, [("/usr/bin/redis-server".into(), "/bin/redis".to_owned())]);
        assert_eq!(recipe.trees, [("/etc/hosts".into(), "/etc/hosts".to_owned())]);
        assert_eq!(recipe.entrypoint, ["/bin/redis"]);
        assert_eq!((recipe.dirs[0].path.as_str(), recipe.dirs[0].owner), ("/data", 65532));
    }

    #[test]
    fn options_that_say_nothing_together_are_refused() {
        assert!(wish("presence --profile dev --verify").is_ok());
        for bad in
            ["--extra a", "--program /bin/sh", "presence --extra a --program /bin/sh", "--profile fast"]
        {
            assert!(wish(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_that_do_not_exist_are_named() {
        let workspace = Workspace {
            root: PathBuf::new(),
            metadata: serde_json::json!({ "packages": [{ "name": "presence" }] }),
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let chosen = |asked: &[&str]| chosen(&workspace, &names(asked)).map(|all| all.len());
        assert_eq!(chosen(&[]).unwrap(), 1);
        assert_eq!(chosen(&["presence"]).unwrap(), 1);
        assert!(
            chosen(&["presence-operator"]).unwrap_err().to_string().contains("no crate presence-operator")
        );
        assert!(chosen(&["presnce"]).unwrap_err().to_string().contains("presence, presence-operator"));
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!([mib(0), mib(1), mib(1 << 20), mib(28_571_648)], ["0.0", "0.1", "1.0", "27.3"]);
    }
}
