//! Fences: a replica that slept through its own death takes nothing, however late it asks.

use super::{
    invariants,
    stage::{A, B, C, HOUR, Stage, assert_unavailable, claim, key, on_every_store, replica},
};
use futures_util::future::join_all;
use presence::ports::session_store::{Claim, Replica};
use presence_core::ids::{Fence, ReplicaId};
use std::time::Duration;

on_every_store![
    each_registration_of_a_replica_gives_the_next_fence,
    a_claim_under_a_former_fence_changes_nothing,
    a_claim_of_a_replica_without_a_lease_changes_nothing,
    a_refused_claim_takes_nobody_of_its_batch_with_it,
    a_replica_that_was_swept_gets_no_fence_that_it_had,
    racing_registrations_of_one_replica_get_different_fences,
];

async fn each_registration_of_a_replica_gives_the_next_fence(stage: &Stage) {
    let new = Replica { id: ReplicaId(0xd), ..replica(ReplicaId(0xd)) };
    for fence in 1..=3 {
        assert_eq!(stage.store.register(&new, HOUR).await.unwrap(), Fence(fence));
        // A lease that is renewed is the same lease.
        assert!(stage.store.renew(new.id, HOUR).await.unwrap());
    }
    // Another process of the same label begins anew.
    let successor = Replica { id: ReplicaId(0xdd), ..new };
    assert_eq!(stage.store.register(&successor, HOUR).await.unwrap(), Fence(1));
}

async fn a_claim_under_a_former_fence_changes_nothing(stage: &Stage) {
    let (held, free) = (key("ann", "math"), key("ben", "math"));
    let claimed = stage.claim(&held, B).await.held;
    let former = stage.claim(&key("cid", "math"), A).await.held;
    let fence = stage.store.register(&replica(A), HOUR).await.unwrap();
    let before = (stage.events().await, stage.stays(&held.classroom_id).await);
    for fence in [1, fence.0 + 1, 0, -1] {
        for key in [&held, &free, &key("cid", "math")] {
            let resume = Some(claimed.session_id);
            let late = Claim { fence: Fence(fence), resume, ..claim(key, A) };
            assert_unavailable(&stage.store.claim(late).await);
        }
    }
    assert_eq!(before, (stage.events().await, stage.stays(&held.classroom_id).await));
    let holder = stage.store.find(&held).await.unwrap().unwrap();
    assert_eq!((holder.generation, holder.replica_id), (claimed.generation, B));
    // What it holds since before, it still holds.
    assert_eq!(stage.store.held(A).await.unwrap(), [former]);
    let now = Claim { fence, ..claim(&free, A) };
    assert_eq!(stage.store.claim(now).await.unwrap().previous, None);
}

async fn a_claim_of_a_replica_without_a_lease_changes_nothing(stage: &Stage) {
    let key = key("ann", "math");
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    stage.store.retire(B).await.unwrap();
    for nobody in [A, B, ReplicaId(0xdead)] {
        assert_unavailable(&stage.store.claim(claim(&key, nobody)).await);
    }
    assert_eq!(stage.store.find(&key).await.unwrap(), None);
    assert_eq!(stage.events().await, []);
}

/// What waits together is claimed together.
async fn a_refused_claim_takes_nobody_of_its_batch_with_it(stage: &Stage) {
    let keys: Vec<_> = (0..40).map(|n| key(&format!("agent-{n}"), "math")).collect();
    join_all(keys.iter().step_by(2).map(|key| stage.claim(key, C))).await;
    let fence = stage.store.register(&replica(A), HOUR).await.unwrap();
    let under = |n: usize| if n % 4 < 2 { fence } else { Fence(fence.0 - 1) };
    let claims = keys.iter().enumerate().map(|(n, key)| {
        let claim = Claim { fence: under(n), ..claim(key, A) };
        stage.store.claim(claim)
    });
    for (n, claimed) in join_all(claims).await.into_iter().enumerate() {
        if n % 4 < 2 {
            assert_eq!(claimed.unwrap().previous.map(|holder| holder.replica_id), (n % 2 == 0).then_some(C));
        } else {
            assert_unavailable(&claimed);
        }
    }
    assert_eq!(stage.store.held(A).await.unwrap().len(), 20);
    assert_eq!(stage.store.held(C).await.unwrap().len(), 10);
    invariants::assert_hold(stage, &keys[0].classroom_id).await;
}

async fn a_replica_that_was_swept_gets_no_fence_that_it_had(stage: &Stage) {
    let key = key("ann", "math");
    stage.claim(&key, A).await;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    assert_eq!(stage.store.sweep(B, Duration::ZERO).await.unwrap(), 1);
    assert_eq!(stage.store.sweep(B, Duration::ZERO).await.unwrap(), 0);
    assert_eq!(stage.store.register(&replica(A), HOUR).await.unwrap(), Fence(2));
    // It was asked for before the replica fell asleep, and arrives only now.
    assert_unavailable(&stage.store.claim(claim(&key, A)).await);
    stage.store.retire(A).await.unwrap();
    assert_eq!(stage.store.register(&replica(A), HOUR).await.unwrap(), Fence(3));
}

async fn racing_registrations_of_one_replica_get_different_fences(stage: &Stage) {
    let other = stage.another_store().await;
    let id = replica(A);
    let registrations = (0..8).map(|n| if n % 2 == 0 { &stage.store } else { &other }.register(&id, HOUR));
    let mut fences: Vec<_> =
        join_all(registrations).await.into_iter().map(|fence| fence.unwrap().0).collect();
    fences.sort_unstable();
    assert_eq!(fences, (2..=9).collect::<Vec<_>>());
}
