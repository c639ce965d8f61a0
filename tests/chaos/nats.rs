//! NATS down, killed, slow, emptied, its stream deleted, and one replica parted from it: agents come and go all the
//! while, and each fact is told once, in order, as soon as it can be.

use presence_tests::{Cast, Mode, Result, Stage, chaos};
use std::time::Duration;

chaos! {
    short:
        while_nats_is_down_agents_come_and_go_and_are_told_of_afterwards,
        a_stream_that_is_deleted_is_made_anew_and_everybody_is_brought_up_to_date;
    long:
        nats_that_is_killed_and_restarted_loses_nothing,
        nats_that_comes_back_empty_brings_everybody_up_to_date,
        slow_nats_makes_nobody_wait_for_ever,
        a_replica_that_nats_cuts_off_catches_up,
        a_replica_parted_from_nats_claims_no_gap_to_be_whole;
}

async fn while_nats_is_down_agents_come_and_go_and_are_told_of_afterwards(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    let outage = play.while_it_lasts("cut", "nats", async |play| {
        play.cluster.nats.stop().await?;
        play.go_on_for(25).await?;
        play.cluster.nats.run().await
    });
    outage.await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn nats_that_is_killed_and_restarted_loses_nothing(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    for _ in 0..3 {
        play.go_on_for(15).await?;
        let crash = play.while_it_lasts("kill", "nats", async |play| {
            play.cluster.nats.kill()?;
            play.go_on_for(5).await?;
            play.cluster.nats.run().await
        });
        crash.await?;
    }
    play.end().await
}

async fn nats_that_comes_back_empty_brings_everybody_up_to_date(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    let loss = play.while_it_lasts("wipe", "nats", async |play| {
        play.witness.read().await?;
        play.cluster.nats.stop().await?;
        play.cluster.nats.wipe()?;
        play.go_on_for(10).await?;
        play.cluster.nats.run().await
    });
    loss.await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_stream_that_is_deleted_is_made_anew_and_everybody_is_brought_up_to_date(
    stage: &mut Stage,
) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    let loss = play.while_it_lasts("wipe", "nats", async |play| {
        play.witness.read().await?;
        play.cluster.nats.delete_stream().await
    });
    loss.await?;
    play.go_on_for(25).await?;
    play.end().await
}

async fn slow_nats_makes_nobody_wait_for_ever(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(10).await?;
    let slow = play.while_it_lasts("slow", "nats", async |play| {
        play.all_buses(Mode::Slow(Duration::from_millis(400)));
        play.go_on_for(25).await?;
        play.all_buses(Mode::Pass);
        Ok(())
    });
    slow.await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn a_replica_that_nats_cuts_off_catches_up(stage: &mut Stage) -> Result<()> {
    part_from_nats(stage, Mode::Cut).await
}

async fn a_replica_parted_from_nats_claims_no_gap_to_be_whole(stage: &mut Stage) -> Result<()> {
    part_from_nats(stage, Mode::Silent).await
}

async fn part_from_nats(stage: &mut Stage, how: Mode) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    let label = play.cluster.label(0);
    let parted = play.while_it_lasts("silence", &label, async |play| {
        play.cluster.replicas[0].bus.set(how);
        play.go_on_for(30).await?;
        play.cluster.replicas[0].bus.heal();
        Ok(())
    });
    parted.await?;
    play.go_on_for(15).await?;
    play.end().await
}
