//! SIGKILL: at random, and at each named point of connect, close, replace, drain and relay.

use presence_tests::{Plan, Result, Stage, chaos};

chaos! {
    short: one_of_three_dies_without_a_word;
}

async fn one_of_three_dies_without_a_word(stage: &mut Stage) -> Result<()> {
    let play = stage.begin(&Plan::default()).await?;
    play.go_on_for(30).await?;
    play.cluster.kill(0)?;
    play.go_on_for(30).await?;
    play.cluster.start(&[0]).await?;
    play.go_on_for(20).await?;
    play.end().await
}
