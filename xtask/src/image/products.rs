//! The images that are shipped: one row each, and the recipe that it makes.
//!
//! `Containerfile` says the same for those who have a container engine; a test compares the two.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::recipe::{Folder, Recipe};
use super::revision::Revision;
use super::{licences, packages};
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct Product {
    /// Of the crate, its binary and, below `presence.rs/`, the image.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What it listens on where nothing else is said.
    pub(crate) ports: &'static [u16],
    /// Its own folder, where it starts; what it writes by default lands there.
    pub(crate) home: Option<&'static str>,
    /// Command lines that succeed without a service, beside `--version`; the image is verified by them.
    pub(super) asks: &'static [&'static [&'static str]],
    /// A command line that calls a server.
    pub(super) dial: Option<fn(&str) -> Vec<String>>,
}

/// The repository's first part is no registry's host: whoever pushes an image gives it a name of their own.
const REPOSITORY: &str = "presence.rs";

pub(crate) const PRODUCTS: [Product; 2] = [
    Product {
        name: "presence",
        title: "presence",
        ports: &[8080, 8081, 8888],
        home: Some("/var/lib/presence"),
        asks: &[&["config-schema"], &["check-config"]],
        dial: Some(|server| {
            ["agents", "classroom", "--token", "none", "--server", server].map(str::to_owned).into()
        }),
    },
    Product {
        name: "presence-operator",
        title: "presence operator",
        ports: &[8080],
        home: None,
        asks: &[],
        dial: None,
    },
];

impl Product {
    pub(crate) fn repository(&self) -> String {
        format!("{REPOSITORY}/{}", self.name)
    }

    pub(crate) fn program(&self) -> String {
        format!("/usr/local/bin/{}", self.name)
    }

    /// The crate's row of `cargo metadata`; none where the workspace has no such crate.
    pub(crate) fn package<'a>(&self, workspace: &'a Workspace) -> Option<&'a Value> {
        let packages = workspace.metadata["packages"].as_array()?;
        packages.iter().find(|package| package["name"] == self.name)
    }

    /// The image of a binary that has been built.
    pub(crate) fn recipe(&self, workspace: &Workspace, binary: &Path, tag: &str) -> Result<Recipe> {
        let package = self.package(workspace).with_context(|| format!("there is no crate {}", self.name))?;
        let revision = Revision::of(workspace)?;
        let licence = |name: &str| (workspace.root.join(name), format!("/{name}"));
        let home = self.home.map(Folder::of_user);
        let recipe = Recipe {
            programs: vec![(binary.to_owned(), self.program())],
            trees: vec![licence("LICENSE")],
            texts: vec![("/THIRD-PARTY-LICENSES".to_owned(), licences::of(workspace, self.name)?)],
            dirs: home.into_iter().collect(),
            entrypoint: vec![self.program()],
            workdir: self.home.unwrap_or("/").to_owned(),
            ports: self.ports.to_vec(),
            labels: self.labels(package, &revision),
            created: revision.time,
            ..Recipe::new(&self.repository(), tag)
        };
        packages::describe(recipe)
    }

    fn labels(&self, package: &Value, revision: &Revision) -> BTreeMap<String, String> {
        let said = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let labels = [
            ("title", self.title.to_owned()),
            ("description", said("description")),
            ("version", said("version")),
            ("licenses", said("license")),
            ("source", said("repository")),
            ("created", revision.created()),
            ("revision", revision.commit.clone()),
        ];
        let said = labels.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value)).collect()
    }
}

#[cfg(test)]
mod tests;
