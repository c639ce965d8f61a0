//! Releases: by id and generation, once, ending when the socket ended.

use super::{
    invariants,
    stage::{A, B, HOUR, Stage, key, on_every_store, release},
};
use presence::ports::session_store::Release;
use presence_api::event::Operation::{Entered, Left};
use presence_core::session::Held;
use std::time::Duration;

on_every_store![
    a_release_moves_the_session_to_history_and_says_so_once,
    a_release_of_a_former_generation_touches_nothing,
    a_release_of_a_replaced_session_touches_nothing,
    a_stay_never_ends_before_it_began,
    stays_of_one_key_do_not_overlap_whatever_is_said_of_their_ends,
    a_session_id_does_not_come_back,
];

async fn a_release_moves_the_session_to_history_and_says_so_once(stage: &Stage) {
    let key = key("ann", "math");
    let held = stage.claim(&key, A).await.held;
    assert!(stage.release(held).await);
    assert!(!stage.release(held).await);
    assert_eq!(stage.store.find(&key).await.unwrap(), None);
    assert_eq!(stage.events().await, [(Entered, held.session_id), (Left, held.session_id)]);
    let stays = stage.stays(&key.classroom_id).await;
    assert!(
        matches!(&stays[..], [stay] if stay.session_id == held.session_id && stay.left_at.is_some()),
        "{stays:?}"
    );
}

async fn a_release_of_a_former_generation_touches_nothing(stage: &Stage) {
    let key = key("ann", "math");
    let old = stage.claim(&key, A).await.held;
    let new = stage.claim(&key, A).await.held;
    assert_eq!(old.session_id, new.session_id);
    assert!(!stage.release(old).await, "the old socket's death closed the reloaded page's session");
    assert_eq!(stage.events().await, [(Entered, new.session_id)]);
    assert!(stage.release(new).await);
}

async fn a_release_of_a_replaced_session_touches_nothing(stage: &Stage) {
    let key = key("ann", "math");
    let old = stage.claim(&key, A).await.held;
    let new = stage.claim(&key, B).await.held;
    let crossed = Held { session_id: old.session_id, generation: new.generation };
    assert!(!stage.release(old).await);
    assert!(!stage.release(crossed).await);
    assert!(stage.release(new).await);
    invariants::assert_hold(stage, &key.classroom_id).await;
}

async fn a_stay_never_ends_before_it_began(stage: &Stage) {
    let key = key("ann", "math");
    for ago in [HOUR, Duration::MAX, Duration::ZERO] {
        let held = stage.claim(&key, A).await.held;
        assert!(stage.store.release(Release { held, ago }).await.unwrap());
    }
    invariants::assert_hold(stage, &key.classroom_id).await;
}

async fn stays_of_one_key_do_not_overlap_whatever_is_said_of_their_ends(stage: &Stage) {
    let key = key("ann", "math");
    for round in 0..40_u64 {
        let held = stage.claim(&key, if round % 3 == 0 { A } else { B }).await.held;
        let held = if round % 2 == 0 {
            stage.claim(&key, if round % 5 == 0 { A } else { B }).await.held
        } else {
            held
        };
        let ago = Duration::from_micros(round * 700);
        assert!(stage.store.release(Release { held, ago }).await.unwrap());
    }
    invariants::assert_hold(stage, &key.classroom_id).await;
}

async fn a_session_id_does_not_come_back(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    assert!(stage.release(first).await);
    let other = stage.another_store().await;
    let second = other.claim(super::stage::claim(&key, A)).await.unwrap().held;
    assert!(second.session_id > first.session_id);
    assert!(!other.release(release(first)).await.unwrap());
}
