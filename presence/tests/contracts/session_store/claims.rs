//! Claims, one after the other: who keeps the session, who replaces it, and what is told of it.

use super::{
    invariants,
    stage::{A, B, C, HOUR, Stage, key, on_every_store, replica},
};
use presence_api::event::Operation::Entered;
use presence_core::{
    ids::{Generation, SessionId},
    replace::Holder,
};
use std::time::Duration;

on_every_store![
    a_first_claim_begins_a_presence_and_says_so,
    a_claim_on_the_same_replica_keeps_the_session,
    a_claim_on_another_replica_begins_a_new_session_and_nobody_hears_of_it,
    a_resume_of_the_live_session_takes_it_over_whole,
    a_resume_of_another_session_is_no_resume,
    a_resume_of_a_session_that_has_ended_begins_a_presence,
    the_session_of_a_draining_replica_is_handed_over,
    the_session_of_a_lapsed_replica_is_handed_over,
    the_session_of_an_unknown_replica_is_handed_over,
    a_session_that_is_shed_is_handed_over_once,
    a_shed_of_a_former_generation_marks_nothing,
    keys_are_claimed_independently,
];

async fn a_first_claim_begins_a_presence_and_says_so(stage: &Stage) {
    let key = key("ann", "math");
    let claimed = stage.claim(&key, A).await;
    assert_eq!(claimed.previous, None);
    assert_eq!(claimed.held.generation, Generation(1));
    assert_eq!(stage.events().await, [(Entered, claimed.held.session_id)]);
    let holder = Holder { session_id: claimed.held.session_id, generation: Generation(1), replica_id: A };
    assert_eq!(stage.store.find(&key).await.unwrap(), Some(holder));
}

async fn a_claim_on_the_same_replica_keeps_the_session(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    let second = stage.claim(&key, A).await;
    assert_eq!(second.held.session_id, first.session_id);
    assert_eq!(second.held.generation, Generation(2));
    let holder = Holder { session_id: first.session_id, generation: Generation(1), replica_id: A };
    assert_eq!(second.previous, Some(holder));
    assert_eq!(stage.events().await, [(Entered, first.session_id)]);
    assert_eq!(stage.stays(&key.classroom_id).await.len(), 1);
}

async fn a_claim_on_another_replica_begins_a_new_session_and_nobody_hears_of_it(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    let second = stage.claim(&key, B).await;
    assert!(second.held.session_id > first.session_id);
    assert_eq!(second.held.generation, Generation(2));
    assert_eq!(
        second.previous.map(|holder| (holder.session_id, holder.replica_id)),
        Some((first.session_id, A))
    );
    assert_eq!(stage.events().await, [(Entered, first.session_id)]);
    let stays = stage.stays(&key.classroom_id).await;
    let [ended, live] = &stays[..] else { panic!("{stays:?}") };
    assert_eq!((ended.session_id, live.session_id), (first.session_id, second.held.session_id));
    assert!(ended.left_at.is_some_and(|left| left <= live.entered_at), "{stays:?}");
    assert_eq!(live.left_at, None);
}

async fn a_resume_of_the_live_session_takes_it_over_whole(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    let second = stage.resume(&key, B, first.session_id).await;
    assert_handed_over(stage, first.session_id, second.held.session_id).await;
    assert_eq!(second.previous.map(|holder| holder.replica_id), Some(A));
}

async fn a_resume_of_another_session_is_no_resume(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let first = stage.claim(&ann, A).await.held;
    let other = stage.claim(&ben, A).await.held;
    let second = stage.resume(&ann, B, other.session_id).await;
    assert_ne!(second.held.session_id, first.session_id);
    assert_ne!(second.held.session_id, other.session_id);
    let still = stage.store.find(&ben).await.unwrap().unwrap();
    assert_eq!((still.session_id, still.generation), (other.session_id, other.generation));
}

async fn a_resume_of_a_session_that_has_ended_begins_a_presence(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    assert!(stage.release(first).await);
    let second = stage.resume(&key, B, first.session_id).await;
    assert_eq!(second.previous, None);
    assert_ne!(second.held.session_id, first.session_id);
}

async fn the_session_of_a_draining_replica_is_handed_over(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    stage.store.set_draining(A, true).await.unwrap();
    stage.store.set_draining(A, true).await.unwrap();
    let second = stage.claim(&key, B).await.held;
    assert_handed_over(stage, first.session_id, second.session_id).await;
}

async fn the_session_of_a_lapsed_replica_is_handed_over(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    stage.store.register(&replica(A), Duration::ZERO).await.unwrap();
    let second = stage.claim(&key, B).await.held;
    assert_handed_over(stage, first.session_id, second.session_id).await;
    // What lapsed is not swept from under its new holder.
    assert_eq!(stage.store.sweep(B, Duration::ZERO).await.unwrap(), 0);
    stage.store.register(&replica(A), HOUR).await.unwrap();
}

async fn the_session_of_an_unknown_replica_is_handed_over(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim_of_nobody(&key).await;
    let second = stage.claim(&key, B).await.held;
    assert_handed_over(stage, first.session_id, second.session_id).await;
}

async fn a_session_that_is_shed_is_handed_over_once(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let shed = stage.claim(&ann, A).await.held;
    let stays = stage.claim(&ben, A).await.held;
    stage.store.shed(&[shed]).await.unwrap();
    stage.store.shed(&[shed]).await.unwrap();
    let handed = stage.claim(&ann, B).await;
    assert_eq!(handed.held.session_id, shed.session_id);
    assert_eq!(handed.previous.map(|holder| holder.replica_id), Some(A));
    assert_ne!(stage.claim(&ben, B).await.held.session_id, stays.session_id, "it was not shed");
    // The mark went with the claim.
    assert_ne!(stage.claim(&ann, C).await.held.session_id, shed.session_id);
    assert_eq!(stage.events().await, [(Entered, shed.session_id), (Entered, stays.session_id)]);
    invariants::assert_hold(stage, &ann.classroom_id).await;
}

async fn a_shed_of_a_former_generation_marks_nothing(stage: &Stage) {
    let key = key("ann", "math");
    let old = stage.claim(&key, A).await.held;
    let new = stage.claim(&key, A).await.held;
    stage.store.shed(&[old]).await.unwrap();
    stage.store.shed(&[]).await.unwrap();
    assert_ne!(stage.claim(&key, B).await.held.session_id, new.session_id);
}

async fn assert_handed_over(stage: &Stage, from: SessionId, to: SessionId) {
    assert_eq!(from, to);
    assert_eq!(stage.events().await, [(Entered, from)]);
    let classroom = &stage.waiting().await[0].key.classroom_id;
    let stays = stage.stays(classroom).await;
    assert!(matches!(&stays[..], [stay] if stay.left_at.is_none()), "{stays:?}");
}

async fn keys_are_claimed_independently(stage: &Stage) {
    let keys = [key("ann", "math"), key("ann", "art"), key("ben", "math")];
    let mut sessions = Vec::new();
    for key in &keys {
        let claimed = stage.claim(key, A).await;
        assert_eq!(claimed.previous, None, "{key:?}");
        sessions.push(claimed.held.session_id);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), keys.len());
}
