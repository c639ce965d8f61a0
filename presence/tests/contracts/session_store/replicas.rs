//! Leases, and what is swept when they lapse.

use super::{
    invariants,
    stage::{A, B, C, HOUR, Stage, Wishes, claim, classroom, key, on_every_store, replica},
};
use presence::ports::session_store::{Claim, Due, Replica};
use presence_api::event::Operation::{Entered, Left};
use presence_core::ids::{Fence, ReplicaId};
use std::time::Duration;

on_every_store![
    a_lease_is_renewed_while_it_lasts_and_had_anew_by_registering,
    registering_a_label_ends_the_lease_of_its_former_holder,
    racing_registrations_of_one_label_leave_one_lease,
    a_sweep_ends_sessions_when_their_replica_was_last_heard_of,
    a_sweep_leaves_alone_who_may_still_return,
    who_has_returned_elsewhere_is_not_swept,
    racing_sweepers_end_each_session_once,
    a_retired_replica_is_swept_at_once_and_nobody_else,
    sessions_of_a_replica_that_nobody_knows_are_swept_after_a_while,
    a_draining_replica_that_registers_again_still_drains,
    a_replica_that_no_longer_drains_holds_what_it_has,
    those_who_drain_are_counted_while_they_have_a_lease,
    a_replica_learns_what_it_holds,
    the_sweeper_publishes_what_it_swept,
    a_sweeper_without_a_lease_ends_nobody,
    a_sweeper_without_a_lease_forgets_nobody,
    a_replica_that_retires_sweeps_only_its_own,
];

async fn a_lease_is_renewed_while_it_lasts_and_had_anew_by_registering(stage: &Stage) {
    let store = &stage.store;
    assert!(store.renew(A, HOUR).await.unwrap());
    assert!(store.renew(A, Duration::ZERO).await.unwrap());
    assert!(!store.renew(A, HOUR).await.unwrap(), "a lapsed lease was renewed");
    assert!(!store.renew(ReplicaId(0xdead), HOUR).await.unwrap(), "nobody's lease was renewed");
    store.register(&replica(A), HOUR).await.unwrap();
    assert!(store.renew(A, HOUR).await.unwrap());
}

async fn registering_a_label_ends_the_lease_of_its_former_holder(stage: &Stage) {
    let key = key("ann", "math");
    let first = stage.claim(&key, A).await.held;
    let successor = Replica { id: ReplicaId(0xaa), ..replica(A) };
    stage.store.register(&successor, HOUR).await.unwrap();
    assert!(!stage.store.renew(A, HOUR).await.unwrap());
    assert!(stage.store.renew(successor.id, HOUR).await.unwrap());
    // The agent comes back to the restarted pod within the return window: it never left.
    let second = stage.claim(&key, successor.id).await.held;
    assert_eq!(second.session_id, first.session_id);
    assert_eq!(stage.events().await, [(Entered, first.session_id)]);
}

async fn racing_registrations_of_one_label_leave_one_lease(stage: &Stage) {
    let other = stage.another_store().await;
    let racers: Vec<_> = (0xa0..0xa4_u128).map(|id| Replica { id: ReplicaId(id), ..replica(A) }).collect();
    let registrations = racers.iter().enumerate().map(|(n, racer)| {
        let store = if n % 2 == 0 { &stage.store } else { &other };
        store.register(racer, HOUR)
    });
    for registered in futures_util::future::join_all(registrations).await {
        registered.unwrap();
    }
    let mut leases = 0;
    for racer in &racers {
        leases += u32::from(other.renew(racer.id, HOUR).await.unwrap());
    }
    assert_eq!(leases, 1);
}

async fn a_sweep_ends_sessions_when_their_replica_was_last_heard_of(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let lost = stage.claim(&ann, A).await.held;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    stage.claim(&ben, B).await;
    assert_eq!(stage.store.sweep(C, Duration::ZERO).await.unwrap(), 1);
    let stays = stage.stays(&ann.classroom_id).await;
    let [swept, live] = &stays[..] else { panic!("{stays:?}") };
    assert!(swept.left_at.is_some_and(|left| left <= live.entered_at), "{stays:?}");
    assert!(stage.events().await.contains(&(Left, lost.session_id)));
    assert!(!stage.release(lost).await);
    assert!(!stage.store.renew(A, HOUR).await.unwrap());
    invariants::assert_hold(stage, &ann.classroom_id).await;
}

async fn a_sweep_leaves_alone_who_may_still_return(stage: &Stage) {
    let key = key("ann", "math");
    stage.claim(&key, A).await;
    assert_eq!(stage.store.sweep(C, Duration::ZERO).await.unwrap(), 0, "the lease lasts");
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    assert_eq!(stage.store.sweep(C, HOUR).await.unwrap(), 0, "the agents may return");
    assert!(stage.store.find(&key).await.unwrap().is_some());
}

async fn who_has_returned_elsewhere_is_not_swept(stage: &Stage) {
    let key = key("ann", "math");
    let held = stage.claim(&key, A).await.held;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    let returned = stage.claim(&key, B).await.held;
    assert_eq!(stage.store.sweep(C, Duration::ZERO).await.unwrap(), 0);
    assert_eq!(returned.session_id, held.session_id);
    assert_eq!(stage.events().await, [(Entered, held.session_id)]);
}

async fn racing_sweepers_end_each_session_once(stage: &Stage) {
    const SESSIONS: usize = 1200;
    let keys: Vec<_> = (0..SESSIONS).map(|n| key(&format!("agent-{n}"), "math")).collect();
    futures_util::future::join_all(keys.iter().map(|key| stage.claim(key, A))).await;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    let other = stage.another_store().await;
    let (one, two, three) = tokio::join!(
        stage.store.sweep(C, Duration::ZERO),
        other.sweep(C, Duration::ZERO),
        other.sweep(C, Duration::ZERO)
    );
    assert_eq!(one.unwrap() + two.unwrap() + three.unwrap(), SESSIONS as u64);
    let left = stage.events().await.into_iter().filter(|(operation, _)| *operation == Left);
    assert_eq!(left.count(), SESSIONS);
    invariants::assert_hold(stage, &classroom("math")).await;
}

async fn a_retired_replica_is_swept_at_once_and_nobody_else(stage: &Stage) {
    let (ann, ben, cid) = (key("ann", "math"), key("ben", "math"), key("cid", "math"));
    stage.claim(&ann, A).await;
    let lapsed = stage.claim(&ben, B).await.held;
    let live = stage.claim(&cid, C).await.held;
    assert!(stage.store.renew(B, Duration::ZERO).await.unwrap());
    stage.store.retire(A).await.unwrap();
    stage.store.retire(A).await.unwrap();
    let present = stage.store.roster(&ann.classroom_id).await.unwrap();
    let present: Vec<_> = present.first.iter().map(|agent| agent.session_id).collect();
    assert_eq!(present, [lapsed.session_id, live.session_id]);
    assert!(!stage.store.renew(A, HOUR).await.unwrap());
    invariants::assert_hold(stage, &ann.classroom_id).await;
}

async fn sessions_of_a_replica_that_nobody_knows_are_swept_after_a_while(stage: &Stage) {
    let key = key("ann", "math");
    stage.claim_of_nobody(&key).await;
    assert_eq!(stage.store.sweep(C, Duration::ZERO).await.unwrap(), 0, "it may be about to register");
    let impatient = Wishes { orphan_grace: Duration::ZERO, ..Wishes::default() };
    let impatient = stage.store_that(impatient).await;
    assert_eq!(impatient.sweep(C, HOUR).await.unwrap(), 0, "the agent may return");
    assert_eq!(impatient.sweep(C, Duration::ZERO).await.unwrap(), 1);
    invariants::assert_hold(stage, &key.classroom_id).await;
}

async fn a_draining_replica_that_registers_again_still_drains(stage: &Stage) {
    let key = key("ann", "math");
    stage.store.set_draining(A, true).await.unwrap();
    let fence = stage.store.register(&replica(A), HOUR).await.unwrap();
    assert_eq!(stage.store.draining().await.unwrap(), 1);
    let first = stage.store.claim(Claim { fence, ..claim(&key, A) }).await.unwrap().held;
    assert_eq!(stage.claim(&key, B).await.held.session_id, first.session_id);
}

async fn a_replica_that_no_longer_drains_holds_what_it_has(stage: &Stage) {
    let key = key("ann", "math");
    stage.store.set_draining(A, true).await.unwrap();
    let first = stage.claim(&key, A).await.held;
    stage.store.set_draining(A, false).await.unwrap();
    stage.store.set_draining(A, false).await.unwrap();
    assert_eq!(stage.store.draining().await.unwrap(), 0);
    assert_ne!(stage.claim(&key, B).await.held.session_id, first.session_id);
}

async fn those_who_drain_are_counted_while_they_have_a_lease(stage: &Stage) {
    let store = &stage.store;
    assert_eq!(store.draining().await.unwrap(), 0);
    store.set_draining(A, true).await.unwrap();
    store.set_draining(B, true).await.unwrap();
    store.set_draining(ReplicaId(0xdead), true).await.unwrap();
    assert_eq!(store.draining().await.unwrap(), 2);
    assert!(store.renew(B, Duration::ZERO).await.unwrap());
    assert_eq!(store.draining().await.unwrap(), 1);
    store.retire(A).await.unwrap();
    assert_eq!(store.draining().await.unwrap(), 0);
}

async fn a_replica_learns_what_it_holds(stage: &Stage) {
    let (ann, ben, cid) = (key("ann", "math"), key("ben", "art"), key("cid", "art"));
    assert_eq!(stage.store.held(A).await.unwrap(), []);
    let kept = stage.claim(&ann, A).await.held;
    stage.claim(&ben, A).await;
    let gone = stage.claim(&cid, A).await.held;
    let taken = stage.claim(&ben, B).await.held;
    assert!(stage.release(gone).await);
    assert_eq!(stage.store.held(A).await.unwrap(), [kept]);
    assert_eq!(stage.store.held(B).await.unwrap(), [taken]);
}

async fn the_sweeper_publishes_what_it_swept(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let swept = stage.claim(&ann, A).await.held;
    let retired = stage.claim(&ben, B).await.held;
    stage.publish_all().await;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    assert_eq!(stage.store.sweep(C, Duration::ZERO).await.unwrap(), 1);
    stage.store.retire(B).await.unwrap();
    for (replica, session) in [(C, swept), (B, retired)] {
        let due = stage.store.due(Due::Of(replica), 10).await.unwrap();
        let due: Vec<_> = due.iter().map(|event| (event.operation, event.session_id)).collect();
        assert_eq!(due, [(Left, session.session_id)], "{replica}");
    }
}

/// As when it was stopped between asking itself whether it may and asking the store.
async fn a_sweeper_without_a_lease_ends_nobody(stage: &Stage) {
    let (ann, nobody_s) = (key("ann", "math"), key("ben", "math"));
    let impatient = stage.store_that(Wishes { orphan_grace: Duration::ZERO, ..Wishes::default() }).await;
    let held = stage.claim(&ann, A).await.held;
    let orphan = stage.claim_of_nobody(&nobody_s).await;
    stage.publish_all().await;
    for id in [A, B] {
        assert!(stage.store.renew(id, Duration::ZERO).await.unwrap());
    }
    stage.store.retire(C).await.unwrap();
    for sweeper in [A, B, C, ReplicaId(0xdead)] {
        assert_eq!(impatient.sweep(sweeper, Duration::ZERO).await.unwrap(), 0, "{sweeper}");
    }
    assert_eq!(stage.store.held(A).await.unwrap(), [held]);
    assert_eq!(stage.events().await, []);
    stage.store.register(&replica(B), HOUR).await.unwrap();
    assert_eq!(impatient.sweep(B, Duration::ZERO).await.unwrap(), 2);
    assert_eq!(stage.events().await, [(Left, held.session_id), (Left, orphan.session_id)]);
}

async fn a_sweeper_without_a_lease_forgets_nobody(stage: &Stage) {
    stage.store.retire(A).await.unwrap();
    let long_ago = ["now() - interval '2 days'", "unixepoch('now', '-2 days') * 1000000"]
        .map(|then| format!("UPDATE replica SET renewed_at = {then} WHERE id = '{A}'"));
    stage.execute_either(&long_ago[0], &long_ago[1]).await;
    stage.store.retire(B).await.unwrap();
    stage.store.sweep(B, Duration::ZERO).await.unwrap();
    assert_eq!(stage.store.register(&replica(A), HOUR).await.unwrap(), Fence(2), "it was forgotten");
    stage.store.retire(A).await.unwrap();
    stage.execute_either(&long_ago[0], &long_ago[1]).await;
    stage.store.sweep(C, Duration::ZERO).await.unwrap();
    assert_eq!(stage.store.register(&replica(A), HOUR).await.unwrap(), Fence(1), "it is remembered for ever");
}

async fn a_replica_that_retires_sweeps_only_its_own(stage: &Stage) {
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let of_lapsed = stage.claim(&ann, A).await.held;
    stage.claim(&ben, B).await;
    // It died before it could sweep what it held.
    let retired = ["'-infinity'", "-9223372036854775808"]
        .map(|never| format!("UPDATE replica SET lease_until = {never} WHERE id = '{A}'"));
    stage.execute_either(&retired[0], &retired[1]).await;
    stage.store.retire(B).await.unwrap();
    assert_eq!(stage.store.held(B).await.unwrap(), []);
    assert_eq!(stage.store.held(A).await.unwrap(), [of_lapsed], "that is for whoever has a lease");
    assert_eq!(stage.store.sweep(C, HOUR).await.unwrap(), 1);
    invariants::assert_hold(stage, &ann.classroom_id).await;
}
