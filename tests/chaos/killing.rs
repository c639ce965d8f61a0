//! SIGKILL, and death at each named point of connect, close, replace and relay: whoever comes back goes on, whoever
//! does not has left once, and nothing that was committed is lost or said twice.

use presence_tests::{Cast, Result, Stage, chaos};

chaos! {
    short:
        one_of_three_dies_without_a_word,
        death_at_connect_claimed,
        death_at_close_released,
        death_at_replace_claimed;
    long:
        all_three_die_one_after_another,
        two_of_three_die_at_once,
        deaths_at_random_moments_lose_nothing,
        death_at_connect_admitted,
        death_at_connect_announced,
        death_at_connect_seated,
        death_at_close_begun,
        death_at_replace_asked,
        death_at_replace_let_go,
        death_at_relay_fetched,
        death_at_relay_published;
}

/// Makes a scenario of each point.
macro_rules! deaths {
    ($($scenario:ident at $point:literal;)+) => {
        $(async fn $scenario(stage: &mut Stage) -> Result<()> { die_at(stage, $point).await })+
    };
}

// Not at the first pass: by then there is something to lose.
deaths! {
    death_at_connect_admitted at "connect.admitted:6";
    death_at_connect_claimed at "connect.claimed:6";
    death_at_connect_announced at "connect.announced:4";
    death_at_connect_seated at "connect.seated:6";
    death_at_close_begun at "close.begun:3";
    death_at_close_released at "close.released:3";
    death_at_replace_claimed at "replace.claimed:3";
    death_at_replace_asked at "replace.asked:3";
    death_at_replace_let_go at "replace.let_go:3";
    death_at_relay_fetched at "relay.fetched:5";
    death_at_relay_published at "relay.published:5";
}

async fn die_at(stage: &mut Stage, point: &'static str) -> Result<()> {
    let play = stage.begin(&Cast { crash_at: Some(point), ..Cast::default() }).await?;
    play.cluster.expect_crash(0).await?;
    play.go_on_for(20).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn one_of_three_dies_without_a_word(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(30).await?;
    play.cluster.kill(0)?;
    play.go_on_for(30).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(20).await?;
    play.end().await
}

async fn all_three_die_one_after_another(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    for round in 0..6 {
        let place = round % 3;
        play.go_on_for(15).await?;
        play.cluster.kill(place)?;
        play.go_on_for(5).await?;
        play.cluster.start(&[place]).await?;
    }
    play.end().await
}

async fn deaths_at_random_moments_lose_nothing(stage: &mut Stage) -> Result<()> {
    let mut chance = stage.chance.split();
    let play = stage.begin(&Cast::default()).await?;
    for _ in 0..8 {
        let place = *chance.one_of(&[0, 1, 2]);
        play.go_on_for(1 + usize::try_from(chance.below(25))?).await?;
        play.cluster.kill(place)?;
        play.cluster.start(&[place]).await?;
    }
    play.end().await
}

async fn two_of_three_die_at_once(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Cast::default()).await?;
    play.go_on_for(20).await?;
    play.cluster.kill(0)?;
    play.cluster.kill(1)?;
    play.go_on_for(30).await?;
    play.cluster.start(&[0, 1]).await?;
    play.go_on_for(20).await?;
    play.end().await
}
