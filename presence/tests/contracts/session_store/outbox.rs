//! The outbox: in order per key, whoever wrote, until published and a while longer.

use super::stage::{A, B, C, HOUR, Stage, Wishes, key, on_every_store};
use presence::ports::session_store::Due;
use presence_api::event::Operation::{Entered, Left};
use std::time::Duration;

on_every_store![
    an_event_brings_the_older_ones_of_its_key_whoever_wrote_them,
    a_list_that_is_cut_loses_its_end_and_nothing_before,
    a_published_event_is_no_longer_due_and_may_be_published_again,
    published_events_stay_for_the_retention_and_unpublished_ones_for_good,
    only_events_that_waited_long_enough_are_older,
    the_backlog_is_what_waits,
];

async fn an_event_brings_the_older_ones_of_its_key_whoever_wrote_them(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let first = stage.claim(&ann, A).await.held;
    stage.claim(&ben, A).await;
    assert!(stage.release(first).await);
    let second = stage.claim(&ann, B).await.held;
    assert!(stage.store.due(Due::Of(C), 10).await.unwrap().is_empty());
    let due = stage.store.due(Due::Of(B), 10).await.unwrap();
    assert!(due.is_sorted_by_key(|event| event.position));
    assert!(due.iter().all(|event| event.key == ann), "{due:?}");
    let due: Vec<_> = due.iter().map(|event| (event.operation, event.session_id)).collect();
    let expected = [(Entered, first.session_id), (Left, first.session_id), (Entered, second.session_id)];
    assert_eq!(due, expected);
}

async fn a_list_that_is_cut_loses_its_end_and_nothing_before(stage: &Stage) {
    let ann = key("ann", "math");
    for _ in 0..5 {
        let held = stage.claim(&ann, A).await.held;
        assert!(stage.release(held).await);
    }
    stage.claim(&ann, B).await;
    let all = stage.waiting().await;
    assert_eq!(all.len(), 11);
    for limit in 1..=11 {
        let due = stage.store.due(Due::Of(B), limit).await.unwrap();
        assert_eq!(due, all[..limit as usize]);
        let due = stage.store.due(Due::OlderThan(Duration::ZERO), limit).await.unwrap();
        assert_eq!(due, all[..limit as usize]);
    }
}

async fn a_published_event_is_no_longer_due_and_may_be_published_again(stage: &Stage) {
    let key = key("ann", "math");
    let held = stage.claim(&key, A).await.held;
    assert!(stage.release(held).await);
    let due = stage.store.due(Due::Of(A), 10).await.unwrap();
    for _ in 0..2 {
        stage.store.published(&[due[0].position]).await.unwrap();
        assert_eq!(stage.store.due(Due::Of(A), 10).await.unwrap(), due[1..]);
    }
    stage.store.published(&[]).await.unwrap();
    stage.store.published(&[i64::MAX]).await.unwrap();
}

async fn published_events_stay_for_the_retention_and_unpublished_ones_for_good(stage: &Stage) {
    let key = key("ann", "math");
    let held = stage.claim(&key, A).await.held;
    assert!(stage.release(held).await);
    let entered = stage.waiting().await[0].position;
    stage.store.published(&[entered]).await.unwrap();
    assert_eq!(stage.store.trim().await.unwrap(), 0);
    let forgetful = Wishes { retention: Duration::ZERO, ..Wishes::default() };
    let forgetful = stage.store_that(forgetful).await;
    assert_eq!(forgetful.trim().await.unwrap(), 1);
    assert_eq!(forgetful.trim().await.unwrap(), 0);
    assert_eq!(stage.events().await, [(Left, held.session_id)]);
}

async fn only_events_that_waited_long_enough_are_older(stage: &Stage) {
    stage.claim(&key("ann", "math"), A).await;
    assert!(stage.store.due(Due::OlderThan(HOUR), 10).await.unwrap().is_empty());
    assert_eq!(stage.store.due(Due::OlderThan(Duration::ZERO), 10).await.unwrap().len(), 1);
}

async fn the_backlog_is_what_waits(stage: &Stage) {
    assert_eq!(stage.store.backlog().await.unwrap(), (0, Duration::ZERO));
    stage.claim(&key("ann", "math"), A).await;
    stage.claim(&key("ben", "math"), A).await;
    let (count, oldest) = stage.store.backlog().await.unwrap();
    assert_eq!(count, 2);
    assert!(oldest < HOUR);
    let positions: Vec<_> = stage.waiting().await.iter().map(|event| event.position).collect();
    stage.store.published(&positions).await.unwrap();
    assert_eq!(stage.store.backlog().await.unwrap(), (0, Duration::ZERO));
}
