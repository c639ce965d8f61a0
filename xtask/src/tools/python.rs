//! Python, and the packages of `tests/clients/python/requirements.txt`: the Socket.IO client that Python programs use.
//! They live in an environment of their own in the cache, as other tools' packages do in theirs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Pinned;
use crate::workspace::Workspace;
use crate::{process, tools};

const AT_LEAST: &[u32] = &[3, 11];
const REQUIREMENTS: &str = "tests/clients/python/requirements.txt";

pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let imports = "import socketio, websocket, requests";
        Ok(Self { program: environment(workspace, "python", REQUIREMENTS, imports)? })
    }

    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("PRESENCE_TEST_PYTHON", &self.program);
    }
}

/// The interpreter of an environment in the cache that has what `requirements` names, and nothing else.
pub(super) fn environment(
    workspace: &Workspace,
    language: &str,
    requirements: &str,
    imports: &str,
) -> Result<PathBuf> {
    let base = base()?;
    let version = said_version(&base).unwrap_or_default();
    let pinned = Pinned::read(workspace, language, &[requirements], &version)?;
    let program = pinned.home.join("bin/python");
    let _lock = tools::lock_cache()?;
    if pinned.is_complete() && works(&program, imports) {
        return Ok(program);
    }
    println!("installing the Python packages of {requirements} (once) …");
    pinned.make_home_anew()?;
    process::run(Command::new(&base).args(["-m", "venv"]).arg(&pinned.home))?;
    let pip = || {
        let mut pip = Command::new(&program);
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").args(["-m", "pip", "--quiet"]);
        pip
    };
    // The file names all that is needed, so nothing comes in a version that it does not name.
    process::run(
        pip().args(["install", "--no-deps", "--requirement"]).arg(workspace.root.join(requirements)),
    )?;
    process::run(pip().arg("check"))?;
    pinned.complete()?;
    Ok(program)
}

/// One that can make environments; of those in PATH the first, else Debian's.
fn base() -> Result<PathBuf> {
    let found = || {
        let in_path = tools::in_path("python3").into_iter();
        in_path.chain([PathBuf::from("/usr/bin/python3")]).find(|python| {
            said_version(python).is_some_and(|said| tools::version(&said) >= AT_LEAST.to_vec())
        })
    };
    if let Some(found) = found() {
        return Ok(found);
    }
    let wanted = "the tests' Python client needs Python 3.11 or later with venv, as python3 in PATH";
    tools::apt::python().context(wanted)?;
    found().with_context(|| format!("{wanted}; what the Debian packages brought is older"))
}

/// Nothing where it has no `venv`, or no pip to put into one.
fn said_version(python: &Path) -> Option<String> {
    let ask = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])";
    process::probe(Command::new(python).args(["-c", ask]))
}

fn works(program: &Path, imports: &str) -> bool {
    process::probe(Command::new(program).args(["-c", imports])).is_some()
}
