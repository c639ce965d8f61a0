//! `wstest` of the Autobahn test suite. It was never ported from Python 2.7, so it lives in a virtualenv in the
//! cache, made by the last virtualenv that knows that Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, tools};

const SUITE: &str = "autobahntestsuite==25.10.1";
const VIRTUALENV: &str = "virtualenv==20.15.1";

pub(crate) fn ensure() -> Result<PathBuf> {
    let cache = tools::cache()?;
    let home = cache.join(SUITE.replace("==", "-"));
    let wstest = home.join("bin/wstest");
    // Written last: a folder without it is left from an install that was broken off.
    let complete = home.join("complete");
    let _lock = tools::lock_cache()?;
    if complete.exists() && tools::is_program(&wstest) {
        return Ok(wstest);
    }
    let python2 = python2().context(
        "the Autobahn suite needs Python 2.7 and none was found: not as python2.7, python2, pypy or pypy2 in PATH, \
         nor below ~/.pyenv/versions (`pyenv install 2.7.18` makes one)",
    )?;
    println!("installing {SUITE} for {} (once) …", python2.display());
    if home.exists() {
        std::fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
    }
    make_environment(&cache, &python2, &home)?;
    let mut pip = Command::new(home.join("bin/python"));
    quiet(&mut pip);
    process::run(pip.args(["-m", "pip", "install", "--quiet", SUITE]))?;
    std::fs::write(&complete, "").context("mark the install as complete")?;
    Ok(wstest)
}

/// The first that runs and is 2.7; a shim of pyenv may be in PATH and not run.
fn python2() -> Option<PathBuf> {
    let in_path = ["python2.7", "python2", "pypy", "pypy2"].into_iter().filter_map(tools::in_path);
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")))
        .map(|root| root.join("versions"));
    let in_pyenv = pyenv.into_iter().flat_map(|versions| {
        let cpython = tools::versioned(&versions, "2.7").into_iter().map(|it| it.join("bin/python2.7"));
        let pypy = tools::versioned(&versions, "pypy2.7").into_iter().map(|it| it.join("bin/pypy"));
        cpython.chain(pypy).collect::<Vec<_>>()
    });
    in_path.chain(in_pyenv).find(|python| {
        let ask = "import sys; print('%d.%d' % sys.version_info[:2])";
        process::probe(Command::new(python).args(["-c", ask])).is_some_and(|said| said.trim() == "2.7")
    })
}

/// No advice on Python 2's age or on running as root: everything goes into a folder of ours.
fn quiet(pip: &mut Command) {
    pip.env("PIP_NO_PYTHON_VERSION_WARNING", "1").env("PIP_ROOT_USER_ACTION", "ignore");
}

/// virtualenv itself may run under Python 3 when Python 2.7 came without pip.
fn make_environment(cache: &Path, python2: &Path, home: &Path) -> Result<()> {
    let mut reasons = Vec::new();
    for (number, runner) in [python2, Path::new("python3")].into_iter().enumerate() {
        let target = cache.join(format!("{}-{number}", VIRTUALENV.replace("==", "-")));
        let mut pip = Command::new(runner);
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]).arg(&target).arg(VIRTUALENV);
        quiet(&mut pip);
        let mut virtualenv = Command::new(runner);
        virtualenv.env("PYTHONPATH", &target).args(["-m", "virtualenv", "--quiet", "--python"]);
        virtualenv.arg(python2).arg(home);
        match process::run(&mut pip).and_then(|()| process::run(&mut virtualenv)) {
            Ok(()) => return Ok(()),
            Err(error) => reasons.push(format!("{error:#}")),
        }
        process::check_interrupted()?;
    }
    bail!("make a virtualenv for {}: {}", python2.display(), reasons.join("; "))
}
