//! PostgreSQL down, slow, parted from one replica, and failed over to a standby that lags: nobody who is in is thrown
//! out, nobody leaves by an outage, and what was lost is made good from the sockets there are.

use anyhow::Context;
use presence_tests::{
    Cast, Database, Link, Mode, Result, Stage, chaos,
    crowd::Manner,
    ensure, eventually,
    judge::{Invariant, judge, judge_only, no_id_is_given_twice, only_in},
    postgres_server::PostgresServer,
    stage::Play,
};
use std::time::Duration;

chaos! {
    short:
        an_outage_longer_than_every_lease_expires_nobody;
    long:
        a_minute_without_the_database_expires_nobody,
        a_slow_database_makes_nobody_wait_for_ever,
        a_replica_parted_from_the_database_loses_its_sessions_and_knows_it,
        a_standby_that_lags_takes_over_and_what_it_lacks_is_made_good;
}

/// Longer than a lease, its renewal and the return window together.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(6);

async fn an_outage_longer_than_every_lease_expires_nobody(stage: &mut Stage) -> Result<()> {
    outage(stage, LONGER_THAN_A_LEASE).await
}

async fn a_minute_without_the_database_expires_nobody(stage: &mut Stage) -> Result<()> {
    outage(stage, Duration::from_mins(1)).await
}

async fn outage(stage: &mut Stage, lasts: Duration) -> Result<()> {
    let mut postgres = PostgresServer::start(&stage.folder.path().join("primary")).await?;
    let database = Database::create_on(postgres.url()?, "presence")?;
    let play = stage.begin_on(database, &Cast::default()).await?;
    play.go_on_for(15).await?;
    let down = play.while_it_lasts("cut", "postgres", async |play| {
        postgres.stop().await?;
        play.cluster.expect_readyz(r#""store":"down""#).await?;
        // The fault is as long as the scenario says.
        tokio::time::sleep(lasts).await;
        postgres.run().await?;
        play.cluster.expect_readyz(r#""store":"up""#).await
    });
    down.await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn a_slow_database_makes_nobody_wait_for_ever(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(10).await?;
    let slow = play.while_it_lasts("slow", "postgres", async |play| {
        all_stores(play, Mode::Slow(Duration::from_millis(150)));
        play.go_on_for(20).await?;
        all_stores(play, Mode::Pass);
        Ok(())
    });
    slow.await?;
    play.go_on_for(15).await?;
    play.end().await
}

async fn a_replica_parted_from_the_database_loses_its_sessions_and_knows_it(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(15).await?;
    let label = play.cluster.label(0);
    let parted = play.while_it_lasts("silence", &label, async |play| {
        play.cluster.replicas[0].store.set(Mode::Silent);
        play.cluster.expect_swept(0).await?;
        play.go_on_for(15).await?;
        play.cluster.replicas[0].store.heal();
        Ok(())
    });
    parted.await?;
    play.go_on_for(15).await?;
    play.end().await
}

fn all_stores(play: &Play, mode: Mode) {
    for replica in &play.cluster.replicas {
        replica.store.set(mode);
    }
}

async fn a_standby_that_lags_takes_over_and_what_it_lacks_is_made_good(stage: &mut Stage) -> Result<()> {
    let mut primary = PostgresServer::start(&stage.folder.path().join("primary")).await?;
    let replication = Link::to(primary.address).await?;
    let database = Database::create_on(primary.url()?, "presence")?;
    let standby = PostgresServer::standby(&stage.folder.path().join("standby"), replication.address).await?;
    let play = stage.begin_on(database, &Cast::default()).await?;
    play.go_on_for(15).await?;
    eventually("the standby to follow", async || {
        let behind = primary.query("SELECT count(*) FROM pg_stat_replication")?;
        ensure!(behind == "1", "{behind} standbys follow");
        Ok(())
    })
    .await?;
    // What is committed from here on is lost with the primary: more ids than a sequence is written ahead.
    replication.set(Mode::Silent);
    play.go_on_for(100).await?;
    let failover = play.while_it_lasts("failover", "postgres", async |play| {
        primary.stop().await?;
        // Whoever connects before it is promoted would be connected to it afterwards.
        for replica in &play.cluster.replicas {
            replica.store.retarget(standby.address);
        }
        play.cluster.database.moved_to(standby.url()?);
        let followed = play.cluster.database.query("SELECT presence_follow_failover()");
        let refused = followed.err().context("a standby has been used as if it were promoted")?;
        ensure!(refused.to_string().contains("is a standby"), "{refused:#}");
        play.cluster.expect_readyz(r#""store":"down""#).await?;
        standby.promote()?;
        play.cluster.expect_readyz(r#""store":"up""#).await
    });
    failover.await?;
    play.more_enter(12, NEWCOMERS, &Manner::RESTLESS)?;
    play.go_on_for(60).await?;
    play.end_judged(|_, history| {
        no_id_is_given_twice(history)?;
        // Facts that the standby never got are gone, so of those who lived through it not everything can hold.
        judge_only(history, &[Invariant::I5, Invariant::I6, Invariant::I7, Invariant::I9])?;
        // Whoever came afterwards has the whole promise.
        judge(&only_in(history, |classroom| classroom.starts_with(NEWCOMERS)))
    })
    .await
}

/// Who enters after a failover, and where.
const NEWCOMERS: &str = "newcomer";
