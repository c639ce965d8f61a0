//! The Socket.IO door: classroom apps and native agents in the same classrooms, while replicas die and drain, Redis is
//! killed, emptied, silent or away, and NATS is killed. In the end the lesson state agrees with everybody (I8).

use presence_tests::{Cast, Context, Mode, Result, Stage, chaos};

chaos! {
    short:
        apps_come_back_from_a_replica_that_dies,
        a_redis_that_is_emptied_is_filled_again;
    long:
        a_rolling_restart_moves_apps_and_agents_alike,
        any_replica_dies_and_apps_come_back_again_and_again,
        a_redis_that_is_killed_and_restarted_is_filled_again,
        a_silent_redis_holds_nobody_up_for_ever,
        a_replica_that_redis_does_not_answer_is_no_harm_to_others,
        nats_that_is_killed_harms_no_app;
}

/// As many apps as agents: teachers and students, over polling, WebSocket and the change between them.
fn cast() -> Cast {
    Cast { agents: 9, apps: 12, ..Cast::default() }
}

async fn apps_come_back_from_a_replica_that_dies(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    play.go_on_for(30).await?;
    play.cluster.kill(0)?;
    play.go_on_for(30).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn any_replica_dies_and_apps_come_back_again_and_again(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    for round in 0..6 {
        play.go_on_for(15).await?;
        play.cluster.kill(round % 3)?;
        play.go_on_for(5).await?;
        play.cluster.start(&[round % 3]).await?;
    }
    play.end().await
}

async fn a_rolling_restart_moves_apps_and_agents_alike(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    for (old, new) in [(0, 3), (1, 0), (2, 1)] {
        play.go_on_for(10).await?;
        play.cluster.start(&[new]).await?;
        play.cluster.terminate(old)?;
        play.cluster.expect_end(old).await?;
    }
    play.go_on_for(10).await?;
    play.end().await
}

async fn a_redis_that_is_emptied_is_filled_again(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    for _ in 0..3 {
        play.go_on_for(10).await?;
        let wipe = play.while_it_lasts("wipe", "redis", async |play| {
            let redis = play.cluster.redis.as_ref().context("there is a Redis")?;
            redis.keys("").await?.flush().await
        });
        wipe.await?;
    }
    play.go_on_for(10).await?;
    play.end().await
}

async fn a_redis_that_is_killed_and_restarted_is_filled_again(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    for _ in 0..3 {
        play.go_on_for(10).await?;
        let outage = play.while_it_lasts("kill", "redis", async |play| {
            play.cluster.redis.as_mut().context("there is a Redis")?.kill()?;
            play.go_on_for(6).await?;
            play.cluster.redis.as_mut().context("there is a Redis")?.run().await
        });
        outage.await?;
    }
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_silent_redis_holds_nobody_up_for_ever(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    play.go_on_for(15).await?;
    let silence = play.while_it_lasts("silence", "redis", async |play| {
        for replica in &play.cluster.replicas {
            replica.cache.as_ref().context("there is a Redis")?.set(Mode::Silent);
        }
        play.go_on_for(10).await?;
        for replica in &play.cluster.replicas {
            replica.cache.as_ref().context("there is a Redis")?.heal();
        }
        Ok(())
    });
    silence.await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_replica_that_redis_does_not_answer_is_no_harm_to_others(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    play.go_on_for(15).await?;
    let cut = play.while_it_lasts("cut", "redis", async |play| {
        play.cluster.replicas[0].cache.as_ref().context("there is a Redis")?.cut();
        play.go_on_for(20).await?;
        play.cluster.replicas[0].cache.as_ref().context("there is a Redis")?.heal();
        Ok(())
    });
    cut.await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn nats_that_is_killed_harms_no_app(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&cast()).await?;
    for _ in 0..2 {
        play.go_on_for(15).await?;
        let crash = play.while_it_lasts("kill", "nats", async |play| {
            play.cluster.nats.kill()?;
            play.go_on_for(5).await?;
            play.cluster.nats.run().await
        });
        crash.await?;
    }
    play.go_on_for(15).await?;
    play.end().await
}
