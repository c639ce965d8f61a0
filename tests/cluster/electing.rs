//! Two operators: one acts, and the other takes over.

use presence_tests::{
    Context, Result, ensure,
    kube::{Kind, Operator, Place, Proxy, path, scenario},
};
use serde_json::json;

const NAME: &str = "school";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_operators_acts_and_the_other_takes_over_when_it_is_killed() -> Result<()> {
    scenario("two", async |place| {
        let ways = [Proxy::start(&place.kube, None).await?, Proxy::start(&place.kube, None).await?];
        let first = Operator::start(place, "first", ways[0].address)?;
        holder(place, "first").await?;
        let second = Operator::start(place, "second", ways[1].address)?;
        place.apply(&place.cluster(NAME, 1)?).await?;
        place.expect_settled(NAME).await.with_context(|| first.log())?;
        ensure!(!ways[0].written().is_empty(), "who holds the lease wrote nothing");
        ensure!(ways[1].written().is_empty(), "who stands by wrote {:?}", ways[1].written());

        let (pods, before) = (place.pods(NAME).await?, ways[0].written());
        first.kill()?;
        holder(place, "second").await?;
        mark(place, "two").await.with_context(|| second.log())?;
        ensure!(place.pods(NAME).await? == pods, "pods were restarted");
        ensure!(ways[0].written() == before, "the dead write");

        // One that ends in order gives the lease back.
        let third = Operator::start(place, "third", ways[0].address)?;
        second.stop().await?;
        holder(place, "third").await?;
        mark(place, "three").await.with_context(|| third.log())
    })
    .await
}

async fn holder(place: &Place, expected: &str) -> Result<()> {
    place
        .kube
        .eventually(&format!("{expected} to hold the lease"), async || {
            let lease = place.get(Kind::Lease, "presence-operator").await?;
            let holder = path(&lease, "/spec/holderIdentity")?;
            ensure!(holder == expected, "{holder} holds it");
            Ok(())
        })
        .await
}

async fn mark(place: &Place, mark: &str) -> Result<()> {
    let changed = json!({ "spec": { "service": { "annotations": { "test/mark": mark } } } });
    place.merge(Kind::PresenceCluster, NAME, &changed).await?;
    place
        .kube
        .eventually("the change to be made", async || {
            let service = place.get(Kind::Service, NAME).await?;
            let found = service.metadata.annotations.as_ref().and_then(|all| all.get("test/mark"));
            ensure!(found.is_some_and(|found| found == mark), "the Service has {found:?}");
            Ok(())
        })
        .await
}
