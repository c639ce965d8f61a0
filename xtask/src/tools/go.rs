//! Programs of Go: those of `tests/cluster/testbed/` and those that modules have. Built once into the cache, each in a
//! folder that is named after all it is made of. Go itself has to be on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tools::Pinned;
use crate::workspace::Workspace;
use crate::{process, tools};

/// What the modules ask for. Go would download a newer toolchain by itself; a fresh machine must not depend on that.
const AT_LEAST: &[u32] = &[1, 26];

/// What `go version` says.
fn version() -> Result<String> {
    let said = process::probe(Command::new("go").arg("version"));
    let said =
        said.context("Go is missing: install 1.26 or later (https://go.dev/dl) and put `go` in PATH")?;
    // `go version go1.26.8 linux/amd64`
    if tools::version(&said) < AT_LEAST.to_vec() {
        bail!("{} is too old: install Go 1.26 or later (https://go.dev/dl)", said.trim());
    }
    Ok(said)
}

fn go() -> Command {
    let mut command = Command::new("go");
    command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command.env_remove("GOOS").env_remove("GOARCH");
    command
}

/// The program of a package `module/name` in the clone, static and stripped.
pub(crate) fn program(workspace: &Workspace, module: &str, name: &str, ldflags: &str) -> Result<PathBuf> {
    let mut files = vec![format!("{module}/go.mod"), format!("{module}/go.sum")];
    files.extend(sources(workspace, &format!("{module}/{name}"))?);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let pinned = Pinned::read(workspace, name, &files, &format!("{}{ldflags}", version()?))?;
    let built = pinned.home.join(name);
    if pinned.is_complete() {
        return Ok(built);
    }
    let _lock = tools::lock_cache()?;
    if pinned.is_complete() {
        return Ok(built);
    }
    pinned.make_home_anew()?;
    let mut command = go();
    command.current_dir(workspace.root.join(module)).args(["build", "-trimpath", "-ldflags"]);
    command.arg(format!("-s -w {ldflags}")).arg("-o").arg(&built).arg(format!("./{name}"));
    build(name, &mut command)?;
    pinned.complete()?;
    Ok(built)
}

/// The tests of a package in the clone, each with its verdict on a line. Not vetted: that would take all of Kubernetes again.
pub(crate) fn tests(workspace: &Workspace, module: &str, name: &str) -> Result<Command> {
    version()?;
    let mut command = go();
    command.current_dir(workspace.root.join(module)).args(["test", "-trimpath", "-vet=off", "-v"]);
    command.arg(format!("./{name}"));
    Ok(command)
}

/// The program of a package that is in a module of its own, by `go install`.
pub(crate) fn installed(package: &str, release: &str, ldflags: &str) -> Result<PathBuf> {
    version()?;
    let name = package.rsplit('/').next().unwrap_or(package);
    let home = tools::cache()?.join(format!("{name}-{release}"));
    let program = home.join(name);
    let _lock = tools::lock_cache()?;
    if tools::is_program(&program) {
        return Ok(program);
    }
    let mut command = go();
    // Not from within the clone: a go.mod there would be asked. GOBIN excludes cross builds.
    command.current_dir(tools::cache()?).env("GOBIN", &home);
    command.args(["install", "-trimpath", "-ldflags", &format!("-s -w {ldflags}")]);
    build(&format!("{name} {release}"), command.arg(format!("{package}@{release}")))?;
    Ok(program)
}

/// The folder of a module's contents, which must be those that `sum` is of.
pub(crate) fn module(path: &str, release: &str, sum: &str) -> Result<PathBuf> {
    version()?;
    println!("fetching {path} {release} with Go (once) …");
    let mut command = go();
    // Not from within the clone: a go.mod there would be asked.
    command.current_dir(tools::cache()?).args(["mod", "download", "-json", &format!("{path}@{release}")]);
    let mut said = String::new();
    let status = process::stream(&mut command, None, |line| said.push_str(line))?;
    contents(&said, sum).with_context(|| format!("{path} {release}: go mod download: {status}"))
}

/// What `go mod download -json` says of one module.
fn contents(said: &str, sum: &str) -> Result<PathBuf> {
    let said: serde_json::Value = serde_json::from_str(said).context("Go says nothing of it")?;
    let text = |key: &str| said[key].as_str().unwrap_or_default();
    if !text("Error").is_empty() {
        bail!("{}", text("Error"));
    }
    if text("Sum") != sum || text("Dir").is_empty() {
        bail!("its contents are not those that are pinned: {}, not {sum}", text("Sum"));
    }
    Ok(PathBuf::from(text("Dir")))
}

fn build(what: &str, command: &mut Command) -> Result<()> {
    println!("building {what} with Go (once; minutes where its modules are new) …");
    let started = Instant::now();
    process::run(command)?;
    println!("  {what} is built ({:.0} s)", started.elapsed().as_secs_f64());
    Ok(())
}

/// The package's own Go files but its tests, in order, relative to the clone.
fn sources(workspace: &Workspace, package: &str) -> Result<Vec<String>> {
    let folder = workspace.root.join(package);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("list {package}"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names
        .filter(|name| {
            Path::new(name).extension().is_some_and(|it| it == "go") && !name.ends_with("_test.go")
        })
        .map(|name| format!("{package}/{name}"))
        .collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_taken_only_if_its_contents_are_those_that_are_pinned() {
        let said = r#"{"Path": "x", "Dir": "/mod/x@v1", "Sum": "h1:a="}"#;
        assert_eq!(contents(said, "h1:a=").unwrap(), Path::new("/mod/x@v1"));
        let other = contents(said, "h1:b=").unwrap_err().to_string();
        assert!(other.contains("h1:a=") && other.contains("h1:b="), "{other}");
        let failed = r#"{"Path": "x", "Error": "x requires go >= 1.27.0", "Sum": "h1:a="}"#;
        assert!(contents(failed, "h1:a=").unwrap_err().to_string().contains("1.27"));
        assert!(contents("", "h1:a=").is_err());
    }
}
