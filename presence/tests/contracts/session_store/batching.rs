//! What a storm costs: statements by the batch, not by the caller.

use super::stage::{A, Stage, classroom, key, on_every_store};
use futures_util::future::join_all;

on_every_store![
    a_storm_of_claims_takes_few_statements,
    a_storm_of_connects_takes_less_than_a_fifth_of_a_statement_each,
    callers_of_one_roster_share_it,
];

const STORM: usize = 1000;

async fn a_storm_of_claims_takes_few_statements(stage: &Stage) {
    let keys: Vec<_> = (0..STORM).map(|n| key(&format!("agent-{n}"), &format!("room-{}", n % 50))).collect();
    let before = (stage.statements)();
    let claims = join_all(keys.iter().map(|key| stage.claim(key, A))).await;
    let statements = (stage.statements)() - before;
    assert!(claims.iter().all(|claimed| claimed.previous.is_none()));
    assert!(statements <= 200, "{statements} statements");
}

async fn a_storm_of_connects_takes_less_than_a_fifth_of_a_statement_each(stage: &Stage) {
    let keys: Vec<_> = (0..STORM).map(|n| key(&format!("agent-{n}"), &format!("room-{}", n % 50))).collect();
    let before = (stage.statements)();
    join_all(keys.iter().map(|key| async {
        stage.claim(key, A).await;
        stage.store.roster(&key.classroom_id).await.unwrap();
    }))
    .await;
    let statements = (stage.statements)() - before;
    assert!(statements < 200, "{statements} statements");
}

async fn callers_of_one_roster_share_it(stage: &Stage) {
    stage.claim(&key("ann", "math"), A).await;
    let before = (stage.statements)();
    let room = classroom("math");
    let rosters = join_all((0..STORM).map(|_| stage.store.roster(&room))).await;
    assert!(rosters.into_iter().all(|roster| roster.unwrap().total == 1));
    let statements = (stage.statements)() - before;
    assert!(statements <= 50, "{statements} statements");
}
