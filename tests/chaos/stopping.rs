//! SIGSTOP and SIGCONT: a replica that stood still for a moment, and one that stood still for longer than its lease and
//! woke up in a world that had gone on without it.

use presence_tests::{Cast, Result, Stage, chaos};

chaos! {
    short:
        a_zombie_that_wakes_after_its_sessions_were_swept_does_no_harm;
    long:
        a_replica_that_stood_still_for_a_moment_is_not_missed,
        a_replica_that_stands_still_again_and_again_does_no_harm,
        a_zombie_that_is_killed_before_it_wakes_is_a_crash;
}

async fn a_replica_that_stood_still_for_a_moment_is_not_missed(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(20).await?;
    play.cluster.freeze(0)?;
    play.go_on_for(3).await?;
    play.cluster.thaw(0)?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_zombie_that_wakes_after_its_sessions_were_swept_does_no_harm(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(20).await?;
    play.cluster.freeze(0)?;
    play.cluster.expect_swept(0).await?;
    play.cluster.thaw(0)?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_replica_that_stands_still_again_and_again_does_no_harm(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    for round in 0..9 {
        play.cluster.freeze(round % 3)?;
        play.go_on_for(4).await?;
        play.cluster.thaw(round % 3)?;
        play.go_on_for(4).await?;
    }
    play.end().await
}

async fn a_zombie_that_is_killed_before_it_wakes_is_a_crash(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(20).await?;
    play.cluster.freeze(0)?;
    play.go_on_for(20).await?;
    play.cluster.kill(0)?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(20).await?;
    play.end().await
}
