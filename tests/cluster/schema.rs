//! What the API server takes, and what it does not.

use crate::wrong_specs;
use presence_tests::{
    Context, Result, ensure,
    kube::{Kind, chart, scenario},
};

#[tokio::test]
async fn a_wrong_spec_is_refused_by_the_name_of_its_field() -> Result<()> {
    scenario("wrong", async |place| wrong_specs::all_are_refused(&place.api(Kind::PresenceCluster)).await)
        .await
}

#[tokio::test]
async fn every_example_is_taken() -> Result<()> {
    scenario("examples", async |place| {
        let folder = chart().join("../../examples");
        let entries = std::fs::read_dir(&folder).context("list the examples")?;
        let mut tried = 0;
        for entry in entries {
            let path = entry.context("list the examples")?.path();
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            // Others need kinds that only an operator for Prometheus brings.
            if !text.contains("kind: PresenceCluster") {
                continue;
            }
            let dry = ["apply", "-n", &place.namespace, "--dry-run=server", "--validate=strict", "-f", "-"];
            let (ok, said) = place.kube.kubectl_with(&dry, &text).await?;
            ensure!(ok, "{}: {said}", path.display());
            tried += 1;
        }
        ensure!(tried >= 3, "only {tried} examples were tried");
        Ok(())
    })
    .await
}
