//! A changed spec and a changed size, as a classroom sees them: not at all.

use presence_api::{
    history::{Act, Entry, Side},
    http::Stay,
};
use presence_tests::{
    Agent, Context, Result,
    app::{Person, Way},
    crowd::{Crowd, Manner, Targets, chance::Chance},
    ensure,
    history::History,
    kube::{Kind, Place, Release, path, scenario},
};
use serde_json::json;
use std::collections::BTreeSet;

const NAME: &str = "school";
const AGENTS: usize = 12;
const APPS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_while_pods_are_replaced_and_their_number_changes() -> Result<()> {
    scenario("roll", async |place| {
        Release::install(place, &[]).await?;
        place.apply(&place.cluster(NAME, 3)?).await?;
        place.expect_settled(NAME).await?;
        place.begin_sessions_apart()?;
        let (mut crowd, history, room) = fill(place).await?;
        // Whoever gave up a slow answer and came again has been there before.
        let stays = place.server(place.door(NAME).await?)?.attendance(&room).await?;
        let former: BTreeSet<_> = stays.iter().filter_map(ended).collect();
        let before: BTreeSet<_> = place.pods(NAME).await?.into_iter().collect();

        let changed = json!({ "spec": { "timings": { "leaveGrace": "8s" } } });
        place.merge(Kind::PresenceCluster, NAME, &changed).await?;
        replaced_one_by_one(place, &before).await?;
        crowd.expect_in().await?;
        nobody_left(place, &room, &former).await?;

        for size in [2, 4] {
            scale(place, size).await?;
            crowd.expect_in().await?;
            nobody_left(place, &room, &former).await?;
        }
        none_broke(&history)?;
        crowd.disperse().await;
        Ok(())
    })
    .await
}

async fn fill(place: &Place) -> Result<(Crowd, History, String)> {
    let room = format!("math-{}", place.id);
    place.open_lesson(&room)?;
    let targets = Targets::default();
    targets.set(0, Some(place.door(NAME).await?));
    let history = History::at(&place.folder().join("history.jsonl"))?;
    let mut crowd = Crowd::new(targets, history.clone(), place.tokens.clone(), Chance::of(11));
    for index in 0..AGENTS {
        crowd.enter(&format!("native-{index}"), &room, &Manner::PATIENT)?;
    }
    for index in 0..APPS {
        let person = Person::student(&format!("app-{index}"), &place.org());
        crowd.enter_app(&person, Way::WebSocket, &room, &Manner::PATIENT)?;
    }
    crowd.expect_in().await?;
    Ok((crowd, history, room))
}

/// Never fewer serve than are asked for, never does more than one go at a time, and kubectl says what is so.
async fn replaced_one_by_one(place: &Place, before: &BTreeSet<(String, String)>) -> Result<()> {
    place
        .kube
        .eventually("the former pods to be gone", async || {
            let seen = place.get(Kind::PresenceCluster, NAME).await?;
            let serving = path(&seen, "/status/serving")?.as_u64().unwrap_or_default();
            if serving < 3 {
                // It is no use to wait for better.
                return Ok(Err(format!("only {serving} serve: {:?}", seen.data["status"])));
            }
            let now: BTreeSet<_> = place.pods(NAME).await?.into_iter().collect();
            ensure!(now.is_disjoint(before), "former pods are there still");
            Ok(Ok(()))
        })
        .await?
        .map_err(presence_tests::Error::msg)?;
    place.expect_settled(NAME).await?;
    let now = place.pods(NAME).await?;
    ensure!(now.len() == 3, "there are {now:?}");
    Ok(())
}

async fn scale(place: &Place, size: usize) -> Result<()> {
    let count = format!("--replicas={size}");
    let what = format!("presenceclusters.presence.rs/{NAME}");
    place.kube.kubectl(&["-n", &place.namespace, "scale", &what, &count]).await?;
    place.expect_settled(NAME).await?;
    place
        .kube
        .eventually(&format!("{size} pods"), async || {
            let pods = place.pods(NAME).await?;
            let seen = place.get(Kind::PresenceCluster, NAME).await?;
            ensure!(pods.len() == size && seen.data["status"]["serving"] == size, "{pods:?}");
            Ok(())
        })
        .await
}

fn ended(stay: &Stay) -> Option<i64> {
    stay.left_at.is_some().then_some(stay.session_id)
}

/// Whoever moved was asked to, and had a new connection before the old one ended.
fn none_broke(history: &History) -> Result<()> {
    let broke = |entry: &Entry| matches!(entry.act, Act::Closed { by: Side::Broken, .. });
    let broken: Vec<_> = history.whole()?.into_iter().filter(broke).collect();
    ensure!(broken.is_empty(), "connections broke: {broken:#?}");
    Ok(())
}

/// Each native agent has one stay, which goes on: what others are told is told of these. An app comes back as somebody new,
/// since its library cannot take a session along, so all that is asked of it is that it is there.
async fn nobody_left(place: &Place, room: &str, former: &BTreeSet<i64>) -> Result<()> {
    let server = place.server(place.door(NAME).await?)?;
    let mut stays = server.attendance(room).await?;
    stays.retain(|stay| !former.contains(&stay.session_id));
    let (apps, agents): (Vec<_>, Vec<_>) = stays.iter().partition(|stay| stay.agent_id.starts_with("app."));
    let left: Vec<_> = agents.iter().filter(|stay| stay.left_at.is_some()).collect();
    ensure!(left.is_empty(), "some left: {left:?}");
    let ids: BTreeSet<_> = agents.iter().map(|stay| &stay.agent_id).collect();
    ensure!(ids.len() == agents.len() && agents.len() == AGENTS, "{agents:?}");
    let here: BTreeSet<_> =
        apps.iter().filter(|stay| stay.left_at.is_none()).map(|it| &it.agent_id).collect();
    ensure!(here.len() == APPS, "of the apps {here:?} are there");
    // It still is a classroom: somebody new is seen to enter, and nothing was said of others before.
    let mut watcher: Agent = server.connect("late", &format!("{room}-late")).await.context("enter")?;
    let other = server.connect("later", &format!("{room}-late")).await?;
    watcher.expect_entered("later").await?;
    other.close().await?;
    watcher.expect_left("later").await?;
    watcher.close().await
}
