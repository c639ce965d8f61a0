//! Where replicas are reached, and which of them are gone for good.

use super::stage::{A, B, C, HOUR, Stage, on_every_store, replica};
use presence::ports::session_store::{Replica, Whereabouts};
use presence_core::ids::ReplicaId;
use std::time::Duration;

on_every_store![
    a_replica_is_reached_where_it_says,
    a_lapsed_replica_is_still_known_and_said_not_to_live,
    nobody_says_where_the_retired_and_the_unknown_are,
    a_replica_that_another_took_the_place_of_does_not_live,
    a_draining_replica_lives,
    whoever_is_gone_for_good_is_found_among_many,
    a_lapsed_replica_is_gone_once_its_agents_no_longer_may_return,
    whoever_has_no_lease_finds_nobody_gone,
    a_forgotten_replica_is_gone,
];

const NOBODY: ReplicaId = ReplicaId(0xdead);

async fn a_replica_is_reached_where_it_says(stage: &Stage) {
    let moved = Replica { address: "[fd00::7]:8081".into(), ..replica(A) };
    stage.store.register(&moved, HOUR).await.unwrap();
    let found = stage.store.whereabouts(A).await.unwrap();
    assert_eq!(found, Some(Whereabouts { address: moved.address, lives: true }));
    let other = stage.another_store().await.whereabouts(B).await.unwrap();
    assert_eq!(other, Some(Whereabouts { address: replica(B).address, lives: true }));
}

async fn a_lapsed_replica_is_still_known_and_said_not_to_live(stage: &Stage) {
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    let lapsed = Whereabouts { address: replica(A).address, lives: false };
    assert_eq!(stage.store.whereabouts(A).await.unwrap(), Some(lapsed.clone()));
    stage.store.sweep(C, Duration::ZERO).await.unwrap();
    assert_eq!(stage.store.whereabouts(A).await.unwrap(), Some(lapsed.clone()), "it may come back");
    stage.store.register(&replica(A), HOUR).await.unwrap();
    assert_eq!(stage.store.whereabouts(A).await.unwrap(), Some(Whereabouts { lives: true, ..lapsed }));
}

async fn nobody_says_where_the_retired_and_the_unknown_are(stage: &Stage) {
    stage.store.retire(A).await.unwrap();
    for id in [A, NOBODY] {
        assert_eq!(stage.store.whereabouts(id).await.unwrap(), None, "{id}");
    }
}

async fn a_replica_that_another_took_the_place_of_does_not_live(stage: &Stage) {
    let successor = Replica { id: ReplicaId(0xaa), address: "10.0.0.9:8081".into(), ..replica(A) };
    stage.store.register(&successor, HOUR).await.unwrap();
    let former = stage.store.whereabouts(A).await.unwrap();
    assert_eq!(former, Some(Whereabouts { address: replica(A).address, lives: false }));
    let now = stage.store.whereabouts(successor.id).await.unwrap();
    assert_eq!(now, Some(Whereabouts { address: successor.address, lives: true }));
}

async fn a_draining_replica_lives(stage: &Stage) {
    stage.store.set_draining(A, true).await.unwrap();
    assert!(stage.store.whereabouts(A).await.unwrap().is_some_and(|found| found.lives));
    assert_eq!(stage.store.gone(B, &[A], Duration::ZERO).await.unwrap(), []);
}

async fn whoever_is_gone_for_good_is_found_among_many(stage: &Stage) {
    assert_eq!(stage.store.gone(A, &[], Duration::ZERO).await.unwrap(), []);
    assert_eq!(stage.store.gone(A, &[A, B, C], Duration::ZERO).await.unwrap(), []);
    stage.store.retire(B).await.unwrap();
    let others = (1_000..3_000).map(ReplicaId);
    let asked: Vec<_> = [A, B, C].into_iter().chain(others.clone()).collect();
    let gone: Vec<_> = [B].into_iter().chain(others).collect();
    assert_eq!(stage.store.gone(A, &asked, HOUR).await.unwrap(), gone);
}

async fn a_lapsed_replica_is_gone_once_its_agents_no_longer_may_return(stage: &Stage) {
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    assert_eq!(stage.store.gone(B, &[A, B], HOUR).await.unwrap(), [], "its agents may return");
    assert_eq!(stage.store.gone(B, &[A, B], Duration::ZERO).await.unwrap(), [A]);
    stage.store.register(&replica(A), HOUR).await.unwrap();
    assert_eq!(stage.store.gone(B, &[A, B], Duration::ZERO).await.unwrap(), [], "it came back");
}

/// As when it slept through its own death, or was cut off from the store: it judges nobody.
async fn whoever_has_no_lease_finds_nobody_gone(stage: &Stage) {
    stage.store.retire(A).await.unwrap();
    assert!(stage.store.renew(B, Duration::ZERO).await.unwrap());
    for asker in [A, B, NOBODY] {
        assert_eq!(stage.store.gone(asker, &[A, B, NOBODY], Duration::ZERO).await.unwrap(), [], "{asker}");
    }
    assert_eq!(stage.store.gone(C, &[A, B, NOBODY], Duration::ZERO).await.unwrap(), [A, B, NOBODY]);
}

async fn a_forgotten_replica_is_gone(stage: &Stage) {
    stage.store.retire(A).await.unwrap();
    let long_ago = ["now() - interval '2 days'", "unixepoch('now', '-2 days') * 1000000"]
        .map(|then| format!("UPDATE replica SET renewed_at = {then} WHERE id = '{A}'"));
    stage.execute_either(&long_ago[0], &long_ago[1]).await;
    stage.store.sweep(C, Duration::ZERO).await.unwrap();
    assert_eq!(stage.store.whereabouts(A).await.unwrap(), None);
    assert_eq!(stage.store.gone(C, &[A], HOUR).await.unwrap(), [A]);
}
