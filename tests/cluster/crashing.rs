//! The operator is killed after each of its writes, those of an install and those of a changed spec: another one makes the
//! same of it each time.

use presence_tests::{
    Context, Result, bail, ensure,
    kube::{Kind, Operator, Place, Proxy, difference, scenario, snapshot},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAME: &str = "school";
/// Places at a time: each has a pod and a migration.
const AT_A_TIME: usize = 4;
/// Far beyond what it writes.
const MOST: usize = 120;

type Snapshot = BTreeMap<String, Value>;

/// What becomes of it when nobody is killed.
struct Expected {
    installed: Snapshot,
    changed: Snapshot,
}

/// Whether there was such a write to be killed after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Killed,
    Never,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_after_any_write_leaves_what_the_next_one_completes() -> Result<()> {
    let expected = undisturbed().await?;
    let mut next = 1;
    loop {
        let batch = (next..next + AT_A_TIME).map(|write| killed_after(write, &expected));
        let batch = futures_util::future::try_join_all(batch).await?;
        next += AT_A_TIME;
        let over = batch.contains(&(Came::Never, Came::Never));
        if over {
            println!(
                "figures: the operator was killed after each of up to {} writes, twice",
                next - AT_A_TIME
            );
            return Ok(());
        }
        ensure!(next < MOST, "an install takes more than {MOST} writes");
    }
}

#[expect(clippy::print_stdout, reason = "figures are for whoever reads the run")]
async fn undisturbed() -> Result<Expected> {
    let expected = std::sync::Mutex::new(None);
    scenario("calm", async |place| {
        let proxy = Proxy::start(&place.kube, None).await?;
        let operator = Operator::start(place, "operator", proxy.address)?;
        place.apply(&spec(place)?).await?;
        place.expect_settled(NAME).await.with_context(|| operator.log())?;
        let installed = snapshot(place, NAME).await?;
        let writes = proxy.written().len();
        place.merge(Kind::PresenceCluster, NAME, &change()).await?;
        place.expect_settled(NAME).await.with_context(|| operator.log())?;
        let changed = snapshot(place, NAME).await?;
        println!("figures: {writes} writes of an install, {} of a change", proxy.written().len() - writes);
        ensure!(installed != changed, "the change changes nothing");
        operator.stop().await?;
        *expected.lock().expect("nobody panics with it") = Some(Expected { installed, changed });
        Ok(())
    })
    .await?;
    expected.into_inner().expect("nobody panics with it").context("there is no outcome")
}

async fn killed_after(write: usize, expected: &Expected) -> Result<(Came, Came)> {
    let came = std::sync::Mutex::new((Came::Never, Came::Never));
    scenario(&format!("kill{write}"), async |place| {
        let begin = async || place.apply(&spec(place)?).await.map(drop);
        let install = turn(place, write, begin, &expected.installed).await.context("install")?;
        let begin = async || place.merge(Kind::PresenceCluster, NAME, &change()).await.map(drop);
        let change = turn(place, write, begin, &expected.changed).await.context("change")?;
        *came.lock().expect("nobody panics with it") = (install, change);
        Ok(())
    })
    .await
    .with_context(|| format!("killed after write {write}"))?;
    Ok(came.into_inner().expect("nobody panics with it"))
}

/// An operator that is killed after so many writes, then one that is not.
async fn turn(
    place: &Place,
    write: usize,
    begin: impl AsyncFnOnce() -> Result<()>,
    expected: &Snapshot,
) -> Result<Came> {
    let proxy = Proxy::start(&place.kube, Some(write)).await?;
    let first = Operator::start(place, "operator", proxy.address)?;
    begin().await?;
    let came = tokio::select! {
        biased;
        () = proxy.reached() => Came::Killed,
        same = becomes(place, expected) => {
            same.with_context(|| format!("{:#?}\n{}", proxy.written(), first.log()))?;
            Came::Never
        }
    };
    first.kill()?;
    let proxy = Proxy::start(&place.kube, None).await?;
    let second = Operator::start(place, "operator", proxy.address)?;
    becomes(place, expected).await.with_context(|| second.log())?;
    second.kill()?;
    Ok(came)
}

async fn becomes(place: &Place, expected: &Snapshot) -> Result<()> {
    place
        .kube
        .eventually("the same objects as ever", async || {
            let seen = place.get(Kind::PresenceCluster, NAME).await?;
            let observed = seen.data["status"]["observedGeneration"].as_i64();
            ensure!(observed == seen.metadata.generation, "{observed:?} was looked at");
            match difference(expected, &snapshot(place, NAME).await?) {
                None => Ok(()),
                Some(other) => bail!("{other}"),
            }
        })
        .await
}

fn spec(place: &Place) -> Result<Value> {
    let mut cluster = place.cluster(NAME, 1)?;
    cluster["spec"]["drain"]["preStop"] = "0s".into();
    cluster["spec"]["route"] = json!({ "ingress": { "host": "school.example" } });
    Ok(cluster)
}

/// A new revision, and something less than before.
fn change() -> Value {
    json!({ "spec": { "timings": { "leaveGrace": "7s" }, "route": null, "service": { "port": 8000 } } })
}
