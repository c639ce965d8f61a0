//! What the operator looks after while it is measured: the smallest example of `examples/`, and many like it without pods.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::cluster::Cluster;
use crate::process::{check_interrupted, output};
use crate::up::{Backing, Images, objects};
use crate::workspace::Workspace;

/// Of the resources, with what they stand on.
pub(super) const NAMESPACE: &str = "presence";
const EXAMPLE: &str = "examples/smallest.yaml";
/// What the example has by default.
pub(super) const PODS: u8 = 3;
/// The example's Secret.
const SECRET: &str = "school";
const IMAGE: &str = "    repository: presence.rs/presence\n    tag: 0.1.0\n";
const NAME: &str = "  name: school\nspec:\n";
/// Tokens are believed that nobody can sign: no one has its private half.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"bench",
    "x":"aqWR530ehoUJh94lhHaKTBwFn3oXQvrWOhwcn5rO0lU","y":"rQni-CLdY3oK9lh4N3TEgFkW8aIoJCo1i5YbqbjE_UM"}]}"#;
/// Each runs a migration Job, on two nodes that share the machine.
const SETTLED_WITHIN: Duration = Duration::from_mins(20);
const POLL: Duration = Duration::from_millis(250);
const TELL: Duration = Duration::from_secs(10);
/// Of each resource: whether its status is of this spec, whether it is Ready, and whether something is under way.
const STATE: &str = "jsonpath={range .items[*]}{.metadata.generation} {.status.observedGeneration} \
    {.status.conditions[?(@.type==\"Ready\")].status} {.status.conditions[?(@.type==\"Progressing\")].status}{\"\\n\"}{end}";

pub(super) struct Resources<'a> {
    cluster: &'a Cluster,
    /// The example, with our image.
    example: String,
}

impl<'a> Resources<'a> {
    pub(super) fn new(
        workspace: &Workspace,
        cluster: &'a Cluster,
        images: &Images,
        backing: &Backing,
    ) -> Result<Self> {
        let text =
            fs::read_to_string(workspace.root.join(EXAMPLE)).with_context(|| format!("read {EXAMPLE}"))?;
        let example = with_image(&text, images.reference("presence")?)?;
        let password = backing.password(cluster, "presence-password")?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET},
            "stringData": {
                "database-url": format!("postgres://presence:{password}@postgres:5432/presence"),
                "jwks.json": KEYS,
            },
        });
        objects::apply(cluster, Some(NAMESPACE), &secret.to_string())?;
        Ok(Self { cluster, example })
    }

    /// The example as it is.
    pub(super) fn first(&self) -> Result<()> {
        println!("bench: the smallest example …");
        objects::apply(self.cluster, Some(NAMESPACE), &self.example)
    }

    /// As many without pods, all of which name the one Secret.
    pub(super) fn others(&self, count: usize) -> Result<()> {
        println!("bench: {count} more, without pods …");
        let all = (1..=count).map(|at| without_pods(&self.example, &format!("many-{at:04}")));
        objects::apply(self.cluster, Some(NAMESPACE), &all.collect::<Result<Vec<_>>>()?.join("---\n"))
    }

    /// Until all are Ready and nothing is under way.
    pub(super) fn wait(&self, all: usize) -> Result<()> {
        let (started, mut told) = (Instant::now(), Instant::now());
        loop {
            check_interrupted()?;
            let mut get = self.cluster.kubectl()?;
            get.args(["--namespace", NAMESPACE, "get", "presenceclusters.presence.rs", "--output", STATE]);
            let said = output(&mut get)?;
            let (there, settled) =
                (said.lines().count(), said.lines().filter(|line| is_settled(line)).count());
            if there == all && settled == all {
                println!("bench: {all} of {all} settled ({:.1} s)", started.elapsed().as_secs_f64());
                return Ok(());
            }
            if told.elapsed() > TELL {
                told = Instant::now();
                println!("bench:   {settled} of {all} settled");
            }
            if started.elapsed() > SETTLED_WITHIN {
                objects::show(self.cluster, NAMESPACE);
                bail!("only {settled} of {all} settled within {} s", SETTLED_WITHIN.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }
}

fn is_settled(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words[..], [wanted, seen, "True", "False"] if wanted == seen)
}

fn with_image(example: &str, reference: &str) -> Result<String> {
    let (repository, tag) = reference.rsplit_once(':').context("a reference has a tag")?;
    replaced(example, IMAGE, &format!("    repository: {repository}\n    tag: {tag}\n"))
}

fn without_pods(example: &str, name: &str) -> Result<String> {
    replaced(example, NAME, &format!("  name: {name}\nspec:\n  replicas: 0\n"))
}

fn replaced(text: &str, part: &str, by: &str) -> Result<String> {
    ensure!(text.matches(part).count() == 1, "{EXAMPLE} has changed: this is not in it once:\n{part}");
    Ok(text.replace(part, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_repository_can_be_made_many_of() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(EXAMPLE);
        let ours = with_image(&fs::read_to_string(root).unwrap(), "presence.rs/presence:local-1").unwrap();
        let other = without_pods(&ours, "many-0001").unwrap();
        assert!(
            other.contains("tag: local-1\n") && other.contains("  name: many-0001\nspec:\n  replicas: 0\n")
        );
        assert!(!ours.contains("replicas"), "how many pods it has is said in PODS");
        assert!(with_image("kind: x\n", "a:b").unwrap_err().to_string().contains("has changed"));
    }

    #[test]
    fn settled_is_ready_as_it_is_described_now_with_nothing_under_way() {
        assert!(is_settled("2 2 True False"));
        for not in ["2 1 True False", "1 1 True True", "1 1 False False", "1   ", ""] {
            assert!(!is_settled(not), "{not}");
        }
    }
}
