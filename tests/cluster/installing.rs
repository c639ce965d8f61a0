//! From `helm install` to a classroom, and back.

use presence_tests::{
    Result, ensure,
    kube::{Kind, Place, Release, path},
};

#[tokio::test]
async fn the_smallest_cluster_becomes_ready() -> Result<()> {
    let place = Place::new("install").await?;
    let played = play(&place).await;
    if played.is_err() {
        eprintln!("{}", place.state().await);
    }
    played?;
    place.leave().await
}

async fn play(place: &Place) -> Result<()> {
    Release::install(place, &[]).await?;
    place.apply(&place.cluster("school", 3)?).await?;
    place.expect_settled("school").await?;
    let seen = place.get(Kind::PresenceCluster, "school").await?;
    ensure!(path(&seen, "/status/serving")? == 3, "{:?}", seen.data["status"]);
    Ok(())
}
