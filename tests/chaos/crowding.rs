//! Crowds: readers that do not read, everybody back at once, reloads within a millisecond, and one account racing
//! itself on three replicas.

use presence_tests::{
    Cast, Result, Stage, chaos,
    crowd::{Deed, Manner, Order},
    ensure,
    wait::{PATIENCE, eventually_within},
};

chaos! {
    short:
        one_account_racing_itself_on_three_replicas_ends_with_one_socket,
        reloads_within_a_millisecond_leave_one_session;
    long:
        one_account_races_itself_while_a_replica_dies,
        whoever_does_not_read_is_closed_and_comes_back_to_everything,
        everybody_back_at_once_is_everybody_back;
}

async fn one_account_racing_itself_on_three_replicas_ends_with_one_socket(stage: &mut Stage) -> Result<()> {
    let cast = Cast { agents: 6, manner: Manner::STILL, ..Cast::default() };
    let play = stage.begin(&cast).await?;
    for round in 0..5 {
        for account in 0..4 {
            play.crowd.race(&format!("racer{round}-{account}"), &format!("room-{}", account % 3), 6)?;
        }
        play.crowd.expect_in().await?;
    }
    play.end().await
}

async fn one_account_races_itself_while_a_replica_dies(stage: &mut Stage) -> Result<()> {
    let cast = Cast { agents: 6, manner: Manner::STILL, ..Cast::default() };
    let play = stage.begin(&cast).await?;
    for account in 0..8 {
        play.crowd.race(&format!("racer{account}"), &format!("room-{}", account % 3), 6)?;
    }
    play.go_on_for(4).await?;
    play.cluster.kill(0)?;
    play.crowd.expect_in().await?;
    play.cluster.start(&[0]).await?;
    play.end().await
}

async fn reloads_within_a_millisecond_leave_one_session(stage: &mut Stage) -> Result<()> {
    let manner = Manner { deeds: &[Deed::Reload], every: 5..80, ..Manner::STILL };
    let play = stage.begin(&Cast { agents: 9, manner, ..Cast::default() }).await?;
    play.go_on_for(250).await?;
    play.end().await
}

async fn everybody_back_at_once_is_everybody_back(stage: &mut Stage) -> Result<()> {
    let cast = Cast { agents: 60, classrooms: 6, manner: Manner::STILL, ..Cast::default() };
    let play = stage.begin(&cast).await?;
    for _ in 0..4 {
        play.crowd.expect_in().await?;
        play.crowd.order_all(Order::Break).await?;
        play.go_on_for(60).await?;
    }
    play.end().await
}

async fn whoever_does_not_read_is_closed_and_comes_back_to_everything(stage: &mut Stage) -> Result<()> {
    const STALLED: [usize; 2] = [0, 4];
    let settings = &[("native.queue_bytes", "131072")];
    let cast = Cast {
        agents: 9,
        manner: Manner::STILL,
        settings,
        gossip_every: 8,
        bytes: 48 * 1024,
        ..Cast::default()
    };
    let play = stage.begin(&cast).await?;
    play.crowd.expect_in().await?;
    for client in STALLED {
        let actor = play.crowd.clients[client].actor(client);
        let stalled = play.while_it_lasts("stall", &actor, async |play| {
            play.crowd.order(client, Order::StopReading).await?;
            eventually_within(6 * PATIENCE, "the one that does not read to be closed", async || {
                let closed = play.cluster.metric(r#"presence_closes_total{reason="slow_consumer"}"#).await;
                ensure!(closed >= 1, "nobody was closed");
                Ok(())
            })
            .await?;
            play.crowd.order(client, Order::Read).await
        });
        stalled.await?;
    }
    play.end().await
}
