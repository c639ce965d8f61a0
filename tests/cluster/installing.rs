//! From `helm install` to a classroom, and back: what a platform team does in the first hour, and what it leaves running.

use presence_tests::{
    Context, Result, agent_id,
    app::{Person, Way},
    bail,
    crowd::{Crowd, Manner, Place as Where, Targets, chance::Chance},
    ensure,
    history::History,
    kube::{Kind, Place, Release, path, scenario},
    socket::Frame,
};
use std::{collections::BTreeSet, time::Instant};

const NATIVE: usize = 26;
const APPS: usize = 10;
const PODS: usize = 3;

#[tokio::test]
async fn the_smallest_cluster_serves_and_outlives_its_operator() -> Result<()> {
    scenario("install", async |place| {
        let begun = Instant::now();
        let bring = ["crds.install=true", "--take-ownership"];
        let release = Release::install(place, &bring).await?;
        let installed = begun.elapsed();
        place.apply(&place.smallest("school")?).await?;
        place.expect_settled("school").await?;
        println!("figures: helm install {installed:.1?}, install to Ready {:.1?}", begun.elapsed());
        let mut class = fill(place).await?;
        all_see_each_other(place, &mut class).await?;
        kubectl_tells_the_truth(place).await.with_context(|| class.whereabouts())?;
        let helm_test = ["test", &release.name, "--namespace", &place.namespace, "--timeout", "2m"];
        place.kube.helm(&helm_test).await?;
        let (pods, entered) = (place.pods("school").await?, class.history.entered());
        let told = presence_tests::history::now();

        again_changes_nothing(place, &release, &bring).await?;
        operator_comes_and_goes(place, &release, &bring).await?;
        release.uninstall(place).await?;

        place.kube.kubectl(&["get", "crd", "presenceclusters.presence.rs"]).await?;
        let left = place.get(Kind::PresenceCluster, "school").await?;
        ensure!(left.metadata.deletion_timestamp.is_none(), "the resource goes with the operator");
        ensure!(place.pods("school").await? == pods, "pods are others than before");
        class.crowd.expect_in().await?;
        // All that they were told since, should somebody have had to come back.
        let since = class.history.whole()?.into_iter().filter(|entry| entry.at > told);
        let since: Vec<_> = since.take(24).collect();
        ensure!(class.history.entered() == entered, "somebody had to come back: {since:#?}");
        class.crowd.disperse().await;
        Ok(())
    })
    .await
}

struct Class {
    crowd: Crowd,
    history: History,
    room: String,
    watcher: presence_tests::Agent,
}

impl Class {
    fn whereabouts(&self) -> String {
        let all = self.crowd.clients.iter().map(|client| format!("{}: {:?}", client.account, client.place()));
        all.collect::<Vec<_>>().join("\n")
    }
}

/// Connections over both doors, through the Service, beside one that watches.
async fn fill(place: &Place) -> Result<Class> {
    place.begin_sessions_apart()?;
    let room = format!("math-{}", place.id);
    place.open_lesson(&room)?;
    let door = place.door("school").await?;
    let watcher = place.server(door)?.connect("watcher", &room).await?;
    let targets = Targets::default();
    targets.set(0, Some(door));
    let history = History::at(&place.folder().join("history.jsonl"))?;
    let mut crowd = Crowd::new(targets, history.clone(), place.tokens.clone(), Chance::of(7));
    for index in 0..NATIVE {
        crowd.enter(&format!("native-{index}"), &room, &Manner::PATIENT)?;
    }
    for index in 0..APPS {
        let person = Person::student(&format!("app-{index}"), &place.org());
        // What is polled must come to the same pod each time, and a Service does not see to that.
        crowd.enter_app(&person, Way::WebSocket, &room, &Manner::PATIENT)?;
    }
    crowd.expect_in().await?;
    Ok(Class { crowd, history, room, watcher })
}

/// The watcher is on one pod, and hears those on all.
async fn all_see_each_other(place: &Place, class: &mut Class) -> Result<()> {
    let mut awaited: BTreeSet<String> = class.crowd.expected().into_iter().map(|(agent, _)| agent).collect();
    while !awaited.is_empty() {
        match class.watcher.socket.next().await? {
            Frame::Event(event) if event.id.operation == "entered" => {
                awaited.remove(event.payload["agent_id"].as_str().unwrap_or_default());
            }
            Frame::Event(_) | Frame::Said(_) => {}
            over => bail!("the watcher's socket ended: {over:?}"),
        }
    }
    let present = place.server(place.door("school").await?)?.present(&class.room).await?;
    ensure!(present.contains(&agent_id("watcher")) && present.len() == NATIVE + APPS + 1, "{present:?}");
    let replicas: BTreeSet<_> = class.crowd.clients[..NATIVE]
        .iter()
        .filter_map(|client| match client.place() {
            Where::Inside { replica, .. } => Some(replica),
            _ => None,
        })
        .collect();
    ensure!(replicas.len() == PODS, "agents are on {replicas:?}");
    Ok(())
}

/// `kubectl get presence` prints what is so; pods are on both nodes, and each has agents.
async fn kubectl_tells_the_truth(place: &Place) -> Result<()> {
    let connected = NATIVE + APPS + 1;
    let what = format!("kubectl to show {PODS} pods and {connected} agents");
    place
        .kube
        .eventually(&what, async || {
            let args = ["-n", &place.namespace, "get", "presenceclusters.presence.rs", "school"];
            let printed = place.kube.kubectl(&args).await?;
            let (head, row) = printed.split_once('\n').context("kubectl prints a head and a row")?;
            let row: Vec<_> = head.split_whitespace().zip(row.split_whitespace()).collect();
            let pods = PODS.to_string();
            let connected = connected.to_string();
            for expected in [
                ("NAME", "school"),
                ("READY", "True"),
                ("DESIRED", &pods),
                ("SERVING", &pods),
                ("DRAINING", "0"),
                ("AGENTS", &connected),
            ] {
                ensure!(row.contains(&expected), "{expected:?} is not in:\n{printed}");
            }
            let seen = place.get(Kind::PresenceCluster, "school").await?;
            let revision = path(&seen, "/status/revision")?.as_str().unwrap_or_default();
            ensure!(row.contains(&("REVISION", revision)), "{printed}");
            let pods = path(&seen, "/status/pods")?.as_array().context("pods are a list")?;
            let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod["node"].as_str()).collect();
            ensure!(nodes.len() == 2, "pods are on {nodes:?}");
            ensure!(pods.iter().all(|pod| pod["agents"].as_u64() > Some(0)), "a pod has nobody: {pods:?}");
            Ok(())
        })
        .await
}

async fn again_changes_nothing(place: &Place, release: &Release, values: &[&str]) -> Result<()> {
    let before = release.versions(place).await?;
    ensure!(before.len() > 5, "the release has only {before:?}");
    release.upgrade(place, values).await?;
    let after = release.versions(place).await?;
    ensure!(before == after, "a second upgrade changed something:\n{before:?}\n{after:?}");
    Ok(())
}

/// Another operator, and the former one again: pods of presence are not touched.
async fn operator_comes_and_goes(place: &Place, release: &Release, values: &[&str]) -> Result<()> {
    let (pods, operators) = (place.pods("school").await?, release.pods(place).await?);
    let other = [values, &["podAnnotations.upgraded=yes", "log.format=pretty"]].concat();
    release.upgrade(place, &other).await?;
    operators_are_others(place, release, &operators).await?;
    acts(place, "one").await?;
    let upgraded = release.pods(place).await?;
    // The revision before: helm's default.
    let back = ["rollback", &release.name, "--namespace", &place.namespace, "--wait", "--timeout", "3m"];
    place.kube.helm(&back).await?;
    operators_are_others(place, release, &upgraded).await?;
    acts(place, "two").await?;
    ensure!(place.pods("school").await? == pods, "an operator restarted pods when it began");
    Ok(())
}

async fn operators_are_others(place: &Place, release: &Release, former: &[String]) -> Result<()> {
    place
        .kube
        .eventually("the former operator to be gone", async || {
            let now = release.pods(place).await?;
            ensure!(now.iter().all(|pod| !former.contains(pod)), "{now:?}");
            Ok(())
        })
        .await
}

/// The operator there is looks at a change that restarts nothing, and has seen it.
async fn acts(place: &Place, mark: &str) -> Result<()> {
    let changed = serde_json::json!({ "spec": { "service": { "annotations": { "test/mark": mark } } } });
    place.merge(Kind::PresenceCluster, "school", &changed).await?;
    place.expect_settled("school").await?;
    let service = place.get(Kind::Service, "school").await?;
    let found = service.metadata.annotations.as_ref().and_then(|all| all.get("test/mark"));
    ensure!(found.is_some_and(|found| found == mark), "the Service has {found:?}");
    Ok(())
}
