//! Generated files that are committed: each is what a subcommand of one of our binaries prints. To add one, add
//! a row. Nothing here knows what the files mean; the types in `presence`, `presence-api` and the operator do.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

struct Generated {
    file: &'static str,
    binary: &'static str,
    /// Its arguments.
    from: &'static [&'static str],
}

const BINARIES: [&str; 2] = ["presence", "presence-operator"];

const FILES: &[Generated] = &[
    Generated { file: "docs/config.schema.json", binary: "presence", from: &["config-schema"] },
    Generated { file: "docs/openapi.json", binary: "presence", from: &["openapi"] },
    Generated { file: "docs/openapi-internal.json", binary: "presence", from: &["openapi-internal"] },
    Generated { file: "docs/ERRORS.md", binary: "presence", from: &["errors-doc"] },
    Generated { file: "docs/protocol.schema.json", binary: "presence", from: &["protocol-schema"] },
    Generated { file: "crds/presenceclusters.yaml", binary: "presence-operator", from: &["crd"] },
    // Helm reads nothing outside a chart.
    Generated {
        file: "charts/presence-operator/files/crds/presenceclusters.yaml",
        binary: "presence-operator",
        from: &["crd"],
    },
];

const MEND: &str = "cargo xtask codegen";

pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    // The whole workspace, as tests and clippy build it: with `-p presence` the dependencies would get other
    // features and be built twice.
    let binaries = BINARIES.iter().flat_map(|name| ["--bin", name]);
    process::run(workspace.cargo().args(["build", "--quiet", "--workspace"]).args(binaries))?;
    let mut stale = Vec::new();
    for generated in FILES {
        let binary = workspace.built("debug", generated.binary);
        match one(&workspace.root, &binary, generated, check) {
            Ok(None) => {}
            Ok(Some(difference)) => {
                println!("{} is not what the code says: {difference}", generated.file);
                stale.push(generated.file.to_owned());
            }
            Err(error) => {
                println!("{}: {error:#}", generated.file);
                stale.push(format!("{} (cannot be made)", generated.file));
            }
        }
    }
    match (stale.is_empty(), check) {
        (true, _) => Ok(()),
        (false, true) => bail!("not up to date: {}; mend with `{MEND}` and commit", stale.join(", ")),
        (false, false) => bail!("not written: {}", stale.join(", ")),
    }
}

/// In check mode, returns how the file differs; else writes it.
fn one(root: &Path, binary: &Path, generated: &Generated, check: bool) -> Result<Option<String>> {
    let mut command = Command::new(binary);
    let fresh = process::output(command.args(generated.from).current_dir(root))?;
    if fresh.trim().is_empty() {
        bail!("`{} {}` printed nothing", generated.binary, generated.from.join(" "));
    }
    let path = root.join(generated.file);
    let committed = std::fs::read_to_string(&path).ok();
    if check {
        return Ok(difference(committed.as_deref(), &fresh));
    }
    if committed.as_deref() != Some(fresh.as_str()) {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        std::fs::write(&path, &fresh).with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", generated.file);
    }
    Ok(None)
}

/// The first line that differs: enough to see what changed.
fn difference(committed: Option<&str>, fresh: &str) -> Option<String> {
    let Some(committed) = committed else {
        return Some("it does not exist".to_owned());
    };
    if committed == fresh {
        return None;
    }
    let (mut old, mut new) = (committed.lines(), fresh.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (Some(old), Some(new)) if old == new => {}
            (None, None) => return Some("line ends differ".to_owned()),
            (old, new) => {
                let (old, new) = (old.unwrap_or("(end)"), new.unwrap_or("(end)"));
                return Some(format!("line {number}\n  committed: {old}\n  generated: {new}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_do_not_differ() {
        assert_eq!(difference(Some("a\nb\n"), "a\nb\n"), None);
    }

    #[test]
    fn the_first_differing_line_is_named() {
        let said = difference(Some("a\nb\n"), "a\nc\n").unwrap();
        assert_eq!(said, "line 2\n  committed: b\n  generated: c");
        let said = difference(Some("a\n"), "a\nc\n").unwrap();
        assert!(said.contains("committed: (end)"), "{said}");
    }

    #[test]
    fn a_missing_file_and_a_missing_line_end_differ() {
        assert!(difference(None, "a\n").is_some());
        assert!(difference(Some("a"), "a\n").is_some());
    }
}
