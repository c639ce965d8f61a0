//! Where nothing happens, nothing is written.

use presence_tests::{
    Context, Result, ensure,
    kube::{Audit, Kind, Place, Release, scenario},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const NAME: &str = "school";
/// What the requirement says. It is watched for so long, and waited for nothing.
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_minute_of_rest_has_no_write_but_the_lease() -> Result<()> {
    scenario("rest", async |place| {
        // Where there is none, that is said at once.
        Audit::from_now()?;
        let release = Release::install(place, &[]).await?;
        let mut spec = place.cluster(NAME, 2)?;
        spec["spec"]["route"] = json!({ "ingress": { "host": "school.example" } });
        place.apply(&spec).await?;
        place.expect_settled(NAME).await?;
        place.begin_sessions_apart()?;
        let server = place.server(place.door(NAME).await?)?;
        let agent = server.connect("somebody", &format!("math-{}", place.id)).await?;
        place
            .kube
            .eventually("the agent to be counted", async || {
                let seen = place.get(Kind::PresenceCluster, NAME).await?;
                let status = &seen.data["status"];
                let pods = status["pods"].as_array().context("pods are a list")?;
                let all_known = pods.len() == 2 && pods.iter().all(|pod| pod["agents"].is_number());
                ensure!(status["agents"] == 1 && all_known, "{status}");
                Ok(())
            })
            .await?;
        still(place, &release).await?;
        agent.close().await
    })
    .await
}

#[expect(clippy::print_stdout, reason = "figures are for whoever reads the run")]
async fn still(place: &Place, release: &Release) -> Result<()> {
    let audit = Audit::from_now()?;
    let before = place.get(Kind::PresenceCluster, NAME).await?.data["status"].take();
    tokio::time::sleep(MINUTE).await;
    let after = place.get(Kind::PresenceCluster, NAME).await?.data["status"].take();
    let operator = release.user(place);
    // Pods have no token; were one used, it would be of this namespace.
    let ours = format!("system:serviceaccount:{}:", place.namespace);
    let calls = audit.calls(|user| user.starts_with(&ours))?;
    let mut counts = BTreeMap::<String, usize>::new();
    for call in &calls {
        ensure!(call.user == operator, "{} asked the API server: {call:?}", call.user);
        *counts.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
    }
    let is_lease = |resource: &str| resource == "leases";
    let writes: Vec<_> = calls.iter().filter(|call| call.writes() && !is_lease(&call.resource)).collect();
    let count = writes.len();
    ensure!(writes.is_empty(), "a minute of rest has {count} writes: {writes:#?}\nfrom {before}\nto {after}");
    ensure!(counts.contains_key("update leases"), "the operator was not heard of at all: {counts:?}");
    println!("figures: a minute of rest has {} requests: {counts:?}", calls.len());
    Ok(())
}
