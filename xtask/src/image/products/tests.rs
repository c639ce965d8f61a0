//! That the Containerfile says of each image what its recipe says, and that the table itself is sound.

use std::collections::BTreeMap;

use super::*;

fn containerfile() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join("Containerfile")).unwrap()
}

/// A stage's instructions, after those of the stage that it comes from.
fn stage(file: &str, name: &str) -> Vec<(String, String)> {
    let mut stages: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut current = String::new();
    for line in file.replace("\\\n", " ").lines().map(str::trim) {
        let Some((word, rest)) = line.split_once(' ').filter(|(word, _)| *word != "#") else { continue };
        if word != "FROM" {
            stages.entry(current.clone()).or_default().push((word.to_owned(), rest.trim().to_owned()));
            continue;
        }
        let (from, own) = rest.split_once(" AS ").unwrap_or((rest, "last"));
        own.clone_into(&mut current);
        let inherited = stages.get(from).cloned().unwrap_or_default();
        stages.insert(current.clone(), inherited);
    }
    stages.remove(name).unwrap_or_else(|| panic!("the Containerfile has no stage {name}"))
}

fn last<'a>(stage: &'a [(String, String)], word: &str) -> &'a str {
    let found = stage.iter().rfind(|(found, _)| found == word);
    &found.unwrap_or_else(|| panic!("no {word}")).1
}

#[test]
fn the_containerfile_says_what_the_recipes_say() {
    let file = containerfile();
    for product in &PRODUCTS {
        let plain = Recipe::new(&product.repository(), "1");
        let stage = stage(&file, product.name);
        assert_eq!(last(&stage, "USER"), plain.user, "{}", product.name);
        assert_eq!(last(&stage, "ENTRYPOINT"), format!("[\"{}\"]", product.program()));
        assert_eq!(last(&stage, "WORKDIR"), product.home.unwrap_or(&plain.workdir));
        let ports: Vec<String> = product.ports.iter().map(u16::to_string).collect();
        assert_eq!(last(&stage, "EXPOSE"), ports.join(" "));
        let title = format!("org.opencontainers.image.title=\"{}\"", product.title);
        assert_eq!(last(&stage, "LABEL"), title);
        assert_eq!(last(&stage, "ENV"), format!("SSL_CERT_FILE={}", plain.env["SSL_CERT_FILE"]));
        if let Some(home) = product.home {
            assert!(file.contains(&format!("--owner 65532 --group 65532 /image{home}")), "{home} is made");
        }
    }
}

#[test]
fn the_containerfile_is_of_the_workspace_s_rust_and_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let said = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
        line.split('"').next().unwrap().to_owned()
    };
    let file = containerfile();
    assert!(file.contains(&format!("FROM rust:{}-slim-", said("rust-version"))));
    assert!(file.contains(&format!("org.opencontainers.image.licenses=\"{}\"", said("license"))));
}

#[test]
fn every_member_of_the_workspace_is_seen_by_a_container_engine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ignored = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split(']').next().unwrap().to_owned();
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        let top = member.split('/').next().unwrap();
        assert!(ignored.lines().any(|line| line == format!("!{top}")), "{member} is ignored");
    }
}

#[test]
fn images_are_named_apart_and_run_without_rights() {
    let repositories: Vec<String> = PRODUCTS.iter().map(Product::repository).collect();
    assert_eq!(repositories, ["presence.rs/presence", "presence.rs/presence-operator"]);
    assert_eq!(Recipe::new("x", "1").user, "65532:65532");
}
