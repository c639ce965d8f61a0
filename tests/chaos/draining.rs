//! SIGTERM: rolling restarts under load, asked twice, two at a time, and killed half way. Agents are told when to move,
//! and nobody in the classroom notices that they did.

use presence_tests::{
    Cast, Mode, Result, Stage, bail, chaos,
    crowd::{Client, Manner, Place},
    ensure,
    stage::Play,
    wait,
};
use std::time::Duration;

chaos! {
    short:
        a_rolling_restart_under_load_is_noticed_by_nobody;
    long:
        being_asked_twice_is_being_asked_once,
        two_that_drain_at_once_find_room_on_the_third,
        killed_half_way_a_drain_is_a_crash,
        death_at_drain_marked,
        death_at_drain_told,
        death_at_drain_closing,
        death_at_drain_published;
}

async fn a_rolling_restart_under_load_is_noticed_by_nobody(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    some_stay_until_they_are_closed(play).await?;
    // The successor first; then it has the place of the one before.
    for (old, new) in [(0, 3), (1, 0), (2, 1)] {
        play.go_on_for(10).await?;
        play.cluster.start(&[new]).await?;
        play.cluster.terminate(old)?;
        play.cluster.expect_end(old).await?;
    }
    play.go_on_for(10).await?;
    play.end().await
}

async fn being_asked_twice_is_being_asked_once(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    play.cluster.terminate(0)?;
    told_to_move(play).await?;
    play.cluster.terminate_again(0)?;
    play.cluster.expect_end(0).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn two_that_drain_at_once_find_room_on_the_third(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    play.cluster.terminate(0)?;
    told_to_move(play).await?;
    play.cluster.terminate(1)?;
    play.cluster.expect_end(0).await?;
    play.cluster.expect_end(1).await?;
    play.cluster.start(&[0, 1]).await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn killed_half_way_a_drain_is_a_crash(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    play.cluster.terminate(0)?;
    told_to_move(play).await?;
    play.cluster.kill(0)?;
    play.go_on_for(15).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(15).await?;
    play.end().await
}

/// Enough of them that some are on every replica.
async fn some_stay_until_they_are_closed(play: &mut Play) -> Result<()> {
    play.more_enter(9, "stubborn", &Manner::STUBBORN)?;
    play.crowd.expect_in_once().await?;
    let replicas = [0, 1, 2].map(|place| play.cluster.label(place));
    for more in 0..60 {
        let stubborn = play.crowd.clients.iter().filter(|client| client.account.starts_with("stubborn"));
        let places: Vec<_> = stubborn.map(Client::place).collect();
        let is_taken = |label: &String| {
            places.iter().any(|it| matches!(it, Place::Inside { replica, .. } if replica == label))
        };
        if replicas.iter().all(is_taken) {
            return Ok(());
        }
        // They choose by chance.
        play.more_enter(1, &format!("stubborn-{more}-"), &Manner::STUBBORN)?;
        play.crowd.expect_in_once().await?;
    }
    bail!("there is not one of them on each of {replicas:?}")
}

/// Somebody was told to connect elsewhere: the drain is under way.
async fn told_to_move(play: &Play) -> Result<()> {
    let history = &play.cluster.history;
    wait::eventually_within(3 * wait::PATIENCE, "somebody to be told to move", async || {
        ensure!(history.told("terminated") > 0, "nobody was");
        Ok(())
    })
    .await
}

/// Makes a scenario of each point.
macro_rules! deaths {
    ($($scenario:ident at $point:literal;)+) => {
        $(async fn $scenario(stage: &mut Stage) -> Result<()> { die_at(stage, $point).await })+
    };
}

deaths! {
    death_at_drain_marked at "drain.marked";
    death_at_drain_told at "drain.told";
    death_at_drain_published at "drain.published";
}

/// The point lies between the deadline and the last release: a slow database keeps the two apart.
async fn death_at_drain_closing(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast { crash_at: Some("drain.closing"), ..Cast::default() }).await?;
    some_stay_until_they_are_closed(play).await?;
    play.go_on_for(15).await?;
    let label = play.cluster.label(0);
    let dying = play.while_it_lasts("slow", &label, async |play| {
        play.cluster.terminate(0)?;
        told_to_move(play).await?;
        play.cluster.replicas[0].store.set(Mode::Slow(Duration::from_millis(300)));
        play.cluster.expect_crash(0).await?;
        play.cluster.replicas[0].store.heal();
        Ok(())
    });
    dying.await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn die_at(stage: &mut Stage, point: &'static str) -> Result<()> {
    let play = stage.begin(&Cast { crash_at: Some(point), ..Cast::default() }).await?;
    some_stay_until_they_are_closed(play).await?;
    play.go_on_for(15).await?;
    play.cluster.terminate(0)?;
    play.cluster.expect_crash(0).await?;
    play.go_on_for(15).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(15).await?;
    play.end().await
}
