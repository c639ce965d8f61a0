//! A node loses its power.

use presence_tests::{
    Context, Result, ensure, environment,
    kube::{Kind, Place, Release, path, scenario_alone},
};
use std::process::Command;

const NAME: &str = "school";
/// What the servers of the tests are not on.
const NODE: &str = "node2";

#[tokio::test]
async fn a_lost_node_is_told_and_its_pods_are_back_when_it_is() -> Result<()> {
    let (xtask, cluster) = environment::testbed()?;
    let power = |verb: &str| -> Result<()> {
        let mut command = Command::new(&xtask);
        let status = command.args(["cluster", "node", verb, "--name", &cluster, NODE]).status();
        ensure!(status.context("run xtask")?.success(), "xtask cluster node {verb} failed");
        Ok(())
    };
    scenario_alone("node", async |place| {
        Release::install(place, &["nodeSelector.kubernetes\\.io/hostname=node1"]).await?;
        place.apply(&place.cluster(NAME, 2)?).await?;
        place.expect_settled(NAME).await?;
        ensure!(on(place).await? == 1, "pods are not on both nodes");
        power("kill")?;
        let told = serving(place, 1).await;
        // Whatever was seen, others need the node.
        power("start")?;
        told?;
        serving(place, 2).await?;
        place.expect_settled(NAME).await.map(drop)
    })
    .await
}

async fn on(place: &Place) -> Result<usize> {
    let seen = place.get(Kind::PresenceCluster, NAME).await?;
    let pods = path(&seen, "/status/pods")?.as_array().context("pods are a list")?;
    Ok(pods.iter().filter(|pod| pod["node"] == NODE).count())
}

async fn serving(place: &Place, count: u64) -> Result<()> {
    place
        .kube
        .eventually(&format!("{count} to serve"), async || {
            let seen = place.get(Kind::PresenceCluster, NAME).await?;
            let now = path(&seen, "/status/serving")?;
            ensure!(now == count, "{now} serve");
            Ok(())
        })
        .await
}
