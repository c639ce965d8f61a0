//! The licences of the crates that a binary is linked from, as one text: most of them ask to be passed on with it. Each
//! text stands once, below the names of all crates that carry it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

const STARTS: [&str; 6] = ["license", "licence", "copying", "notice", "copyright", "unlicense"];
/// Longer ones are no licences.
const LONGEST: u64 = 256 * 1024;

pub(super) fn of(workspace: &Workspace, package: &str) -> Result<String> {
    let mut ask = workspace.cargo();
    ask.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &host(workspace)?]);
    let metadata: Value = serde_json::from_str(&process::output(&mut ask)?).context("read cargo metadata")?;
    let linked = linked(&metadata, package).with_context(|| format!("no crate {package} in the metadata"))?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = BTreeSet::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        // Our own crates have no source: theirs is the licence beside this text.
        if package["source"].is_null() || !linked.contains(id(&package["id"])) {
            continue;
        }
        let said = |key: &str| package[key].as_str().unwrap_or("?");
        let name = format!("{} {}", said("name"), said("version"));
        list.insert(format!("{name}: {}", said("license")));
        let folder = Path::new(said("manifest_path")).parent().context("a manifest lies in a folder")?;
        for text in texts_in(folder)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    Ok(written(&list, texts))
}

fn id(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn host(workspace: &Workspace) -> Result<String> {
    let mut rustc = std::process::Command::new("rustc");
    let said = process::output(rustc.current_dir(&workspace.root).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// All that a crate is linked from: dependencies of dependencies, but none of tests or build scripts.
fn linked<'a>(metadata: &'a Value, package: &str) -> Option<BTreeSet<&'a str>> {
    let packages = metadata["packages"].as_array()?;
    let root = packages.iter().find(|it| it["name"] == package && it["source"].is_null())?;
    let nodes = metadata["resolve"]["nodes"].as_array()?;
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (id(&node["id"]), node)).collect();
    let (mut found, mut next) = (BTreeSet::new(), vec![id(&root["id"])]);
    while let Some(at) = next.pop() {
        if !found.insert(at) {
            continue;
        }
        for dependency in nodes.get(at)?["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array()?;
            if kinds.iter().any(|it| it["kind"].is_null()) {
                next.push(id(&dependency["pkg"]));
            }
        }
    }
    Some(found)
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let meta = entry.metadata().with_context(|| format!("look at {}", entry.path().display()))?;
        if STARTS.iter().any(|start| name.starts_with(start)) && meta.is_file() && meta.len() <= LONGEST {
            let bytes = fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            texts.push(text.trim().to_owned());
        }
    }
    Ok(texts)
}

fn written(list: &BTreeSet<String>, texts: BTreeMap<String, BTreeSet<String>>) -> String {
    let mut written = String::from("This program is linked from the following crates.\n\n");
    for line in list {
        written.push_str(line);
        written.push('\n');
    }
    let mut texts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, names)| (names.into_iter().collect(), text)).collect();
    texts.sort_unstable();
    for (names, text) in texts {
        written.extend(["\n", &"=".repeat(80), "\n", &names.join(", "), "\n\n", &text, "\n"]);
    }
    written
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tests_and_build_scripts_need_is_not_linked() {
        let dep = |pkg: &str, kind: Value| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [{ "name": "presence", "id": "p", "source": null }],
            "resolve": { "nodes": [
                { "id": "p", "deps": [dep("a", Value::Null), dep("t", json!("dev")), dep("b", json!("build"))] },
                { "id": "a", "deps": [dep("c", Value::Null), dep("p", Value::Null)] },
                { "id": "c", "deps": [] },
            ] },
        });
        let found: Vec<&str> = linked(&metadata, "presence").unwrap().into_iter().collect();
        assert_eq!(found, ["a", "c", "p"]);
        assert!(linked(&metadata, "other").is_none());
    }

    #[test]
    fn a_text_stands_once_below_all_that_carry_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let list = names(&["a 1: MIT", "b 2: MIT"]);
        let texts = BTreeMap::from([("Do as you like.".to_owned(), names(&["b 2", "a 1"]))]);
        let text = written(&list, texts);
        assert_eq!(text.matches("Do as you like.").count(), 1);
        assert!(text.contains("a 1: MIT\nb 2: MIT\n"));
        assert!(text.contains("\na 1, b 2\n"));
    }

    #[test]
    fn licences_are_found_by_how_their_files_are_called() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("LICENSE-MIT", "mit\r\n"), ("Copying", "gpl"), ("README", "no")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut found = texts_in(folder.path()).unwrap();
        found.sort_unstable();
        assert_eq!(found, ["gpl", "mit"]);
    }
}
