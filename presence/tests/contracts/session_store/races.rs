//! Everybody at once, from several processes: what the statements promise holds whatever the order.

use super::{
    invariants,
    stage::{A, B, C, Stage, claim, classroom, key, on_every_store, release},
};
use futures_util::future::join_all;
use presence::ports::session_store::{Claim, Claimed, Release, Store};
use presence_api::event::Operation::{Entered, Left};
use presence_core::{
    ids::{ReplicaId, SessionKey},
    session::Held,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::task::JoinSet;

const REPLICAS: [ReplicaId; 3] = [A, B, C];

on_every_store![
    racing_claims_of_one_key_leave_one_session_and_one_entered,
    racing_releases_end_each_session_once,
    a_racing_mix_keeps_every_invariant,
    an_audit_in_the_middle_of_a_race_finds_nothing,
    sweeps_and_returns_race_without_a_double_end,
];

/// A store per replica, as in a cluster.
async fn cluster(stage: &Stage) -> Vec<(ReplicaId, Arc<dyn Store>)> {
    let stores = [Arc::clone(&stage.store), stage.another_store().await, stage.another_store().await];
    REPLICAS.into_iter().zip(stores).collect()
}

async fn racing_claims_of_one_key_leave_one_session_and_one_entered(stage: &Stage) {
    let key = key("ann", "math");
    let cluster = cluster(stage).await;
    let mut racers = JoinSet::new();
    for n in 0..64 {
        let (replica, store) = cluster[n % cluster.len()].clone();
        let claim = claim(&key, replica);
        racers.spawn(async move { store.claim(claim).await.unwrap() });
    }
    let claims: Vec<Claimed> = racers.join_all().await;
    let generations: HashSet<_> = claims.iter().map(|claimed| claimed.held.generation.0).collect();
    assert_eq!(generations, (1..=64).collect());
    let fresh: Vec<_> = claims.iter().filter(|claimed| claimed.previous.is_none()).collect();
    assert_eq!(fresh.len(), 1);
    assert_eq!(stage.events().await, [(Entered, fresh[0].held.session_id)]);
    // Each claim names the one before it.
    for claimed in claims.iter().filter(|claimed| claimed.previous.is_some()) {
        let previous = claimed.previous.unwrap();
        assert_eq!(previous.generation.0 + 1, claimed.held.generation.0);
        let before = claims.iter().find(|other| other.held.generation == previous.generation).unwrap();
        assert_eq!(before.held.session_id, previous.session_id);
    }
    let last = claims.iter().max_by_key(|claimed| claimed.held.generation.0).unwrap();
    let holder = stage.store.find(&key).await.unwrap().unwrap();
    assert_eq!((holder.session_id, holder.generation), (last.held.session_id, last.held.generation));
    let sessions: HashSet<_> = claims.iter().map(|claimed| claimed.held.session_id).collect();
    assert_eq!(stage.stays(&key.classroom_id).await.len(), sessions.len());
    invariants::assert_hold(stage, &key.classroom_id).await;
}

async fn racing_releases_end_each_session_once(stage: &Stage) {
    const AGENTS: usize = 150;
    let cluster = cluster(stage).await;
    let keys: Vec<_> = (0..AGENTS).map(|n| key(&format!("agent-{n}"), "math")).collect();
    let held: Vec<Held> = join_all(keys.iter().map(|key| async { stage.claim(key, A).await.held })).await;
    let mut racers = JoinSet::new();
    for n in 0..AGENTS * 6 {
        let (_, store) = cluster[n % cluster.len()].clone();
        // Each in an order of its own.
        let held = held[(n * 7919) % AGENTS];
        racers.spawn(async move { u64::from(store.release(release(held)).await.unwrap()) });
    }
    let released: u64 = racers.join_all().await.into_iter().sum();
    assert_eq!(released, AGENTS as u64);
    let left = stage.events().await.into_iter().filter(|(operation, _)| *operation == Left);
    assert_eq!(left.count(), AGENTS);
    invariants::assert_hold(stage, &classroom("math")).await;
}

/// A small generator: the same steps in every run, interleaved by whatever the machine does.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One client's life: it claims, resumes, and lets go of sessions, its own and long lost ones.
async fn wander(seed: u64, keys: Arc<[SessionKey]>, cluster: Vec<(ReplicaId, Arc<dyn Store>)>) {
    let mut dice = Dice(seed);
    let mut known: Vec<Held> = Vec::new();
    for _ in 0..40 {
        let (replica, store) = &cluster[usize::try_from(dice.roll(cluster.len() as u64)).unwrap()];
        let any = known.get(usize::try_from(dice.roll(known.len().max(1) as u64)).unwrap()).copied();
        match (dice.roll(5), any) {
            (0 | 1, Some(held)) => {
                let ago = Duration::from_micros(dice.roll(3000));
                store.release(Release { held, ago }).await.unwrap();
            }
            (roll, any) => {
                let key = &keys[usize::try_from(dice.roll(keys.len() as u64)).unwrap()];
                let resume = any.filter(|_| roll == 2).map(|held| held.session_id);
                let claim = Claim { resume, ..claim(key, *replica) };
                known.push(store.claim(claim).await.unwrap().held);
            }
        }
    }
}

async fn a_racing_mix_keeps_every_invariant(stage: &Stage) {
    let cluster = cluster(stage).await;
    let keys: Arc<[SessionKey]> = (0..5).map(|n| key(&format!("agent-{n}"), "math")).collect();
    let mut clients = JoinSet::new();
    for seed in 0..24 {
        clients.spawn(wander(seed, Arc::clone(&keys), cluster.clone()));
    }
    clients.join_all().await;
    invariants::assert_hold(stage, &classroom("math")).await;
}

/// One snapshot sees each statement whole or not at all.
async fn an_audit_in_the_middle_of_a_race_finds_nothing(stage: &Stage) {
    let cluster = cluster(stage).await;
    let keys: Arc<[SessionKey]> = (0..5).map(|n| key(&format!("agent-{n}"), "math")).collect();
    let mut clients = JoinSet::new();
    for seed in 0..12 {
        clients.spawn(wander(seed, Arc::clone(&keys), cluster.clone()));
    }
    while !clients.is_empty() {
        assert_eq!(stage.store.audit(Duration::from_mins(10), 10).await.unwrap(), []);
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
    }
}

async fn sweeps_and_returns_race_without_a_double_end(stage: &Stage) {
    const AGENTS: usize = 300;
    let cluster = cluster(stage).await;
    let keys: Vec<_> = (0..AGENTS).map(|n| key(&format!("agent-{n}"), "math")).collect();
    let lost: Vec<Claimed> = join_all(keys.iter().map(|key| stage.claim(key, A))).await;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    let mut racers = JoinSet::new();
    for key in keys {
        let (replica, store) = cluster[1].clone();
        racers.spawn(async move { store.claim(claim(&key, replica)).await.map(|_| ()) });
    }
    for lost in lost {
        let (_, store) = cluster[0].clone();
        racers.spawn(async move { store.release(release(lost.held)).await.map(|_| ()) });
    }
    for (_, store) in cluster {
        racers.spawn(async move { store.sweep(C, Duration::ZERO).await.map(|_| ()) });
    }
    for outcome in racers.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(stage.store.roster(&classroom("math")).await.unwrap().total, AGENTS as u64);
    invariants::assert_hold(stage, &classroom("math")).await;
}
