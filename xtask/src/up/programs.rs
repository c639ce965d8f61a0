//! Images of what presence stands on: PostgreSQL, NATS and Redis, put together from this machine's own programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::Recipe;
use crate::tools;

/// No registry's host: these images are only ever loaded.
const REPOSITORY: &str = "presence.test";

/// One of them, and the word that stands for its image in the manifests of `tests/cluster/backing/`.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) placeholder: &'static str,
    pub(super) recipe: fn(tag: &str) -> Result<Recipe>,
}

pub(super) const PROGRAMS: [Program; 3] = [
    Program { name: "postgres", placeholder: "IMAGE-POSTGRES", recipe: postgres },
    Program { name: "nats", placeholder: "IMAGE-NATS", recipe: nats },
    Program { name: "redis", placeholder: "IMAGE-REDIS", recipe: redis },
];

fn recipe(name: &str, tag: &str, program: &Path) -> Recipe {
    let place = format!("/usr/local/bin/{name}");
    Recipe {
        programs: vec![(program.to_owned(), place.clone())],
        entrypoint: vec![place],
        ..Recipe::new(&format!("{REPOSITORY}/{name}"), tag)
    }
}

fn nats(tag: &str) -> Result<Recipe> {
    Ok(recipe("nats", tag, &tools::nats::ensure()?))
}

fn redis(tag: &str) -> Result<Recipe> {
    Ok(recipe("redis", tag, &tools::apt::redis_server()?))
}

/// PostgreSQL looks for its libraries and data where it was told when it was built: everything keeps its place. The shell and
/// its two tools are for the container that makes the database.
fn postgres(tag: &str) -> Result<Recipe> {
    const SHELL: [&str; 3] = ["sh", "mv", "rm"];
    const LIBRARIES: [&str; 3] = ["plpgsql.so", "dict_snowball.so", "libpqwalreceiver.so"];
    let bin = tools::apt::postgres_bin()?;
    let bin = bin.canonicalize().with_context(|| format!("find {}", bin.display()))?;
    let same = |path: PathBuf| (path.clone(), path.display().to_string());
    let mut programs: Vec<_> =
        ["postgres", "initdb", "pg_isready", "psql"].map(|name| same(bin.join(name))).into();
    for name in SHELL {
        let found = tools::in_path(name).with_context(|| format!("find `{name}`"))?;
        programs.push((found, format!("/bin/{name}")));
    }
    let (library, share) = (told(&bin, "--pkglibdir")?, told(&bin, "--sharedir")?);
    let mut trees: Vec<_> = LIBRARIES.map(|name| same(library.join(name))).into();
    trees.push(same(share.clone()));
    let utc = Path::new("/usr/share/zoneinfo/UTC");
    trees.extend(utc.exists().then(|| same(utc.to_owned())));
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut recipe = Recipe {
        programs,
        trees,
        leave_out: ["man", "contrib"].map(|name| share.join(name).display().to_string()).into(),
        entrypoint: vec![bin.join("postgres").display().to_string()],
        ..Recipe::new(&format!("{REPOSITORY}/postgres"), tag)
    };
    recipe.env.insert("PATH".to_owned(), path);
    Ok(recipe)
}

/// What the programs were built with; Debian's `pg_config` belongs to another package, so by Debian's rule without it.
fn told(bin: &Path, what: &str) -> Result<PathBuf> {
    let asked = crate::process::probe(std::process::Command::new(bin.join("pg_config")).arg(what));
    if let Some(said) = asked {
        return Ok(PathBuf::from(said.trim()));
    }
    let home = bin.parent().context("PostgreSQL's programs lie in a folder")?;
    let version = home.file_name().context("PostgreSQL's folder has a name")?;
    let folder = match what {
        "--pkglibdir" => home.join("lib"),
        _ => Path::new("/usr/share/postgresql").join(version),
    };
    let there = folder.is_dir().then_some(folder);
    there
        .with_context(|| format!("pg_config is missing, and PostgreSQL in {} is not Debian's", bin.display()))
}
