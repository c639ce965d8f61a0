//! A directory over a store that counts how often it is asked, and does as a test says.

use super::*;
use crate::ports::{
    Fault,
    session_store::{Replica, Whereabouts},
};
use async_trait::async_trait;
use presence_core::{ids::Fence, session::Held, time::UnixMicros};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

const OWNER: ReplicaId = ReplicaId(7);

/// What it says of the owner; nobody else exists.
#[derive(Debug, Clone, Copy)]
enum Says {
    Lives,
    Lapsed,
    Nothing,
    Away,
    /// No answer ever.
    Silence,
}

#[derive(Debug)]
struct Oracle {
    says: Mutex<Says>,
    asked: AtomicUsize,
    now: AtomicU64,
}

impl Oracle {
    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

impl Clock for Oracle {
    fn now(&self) -> Time {
        Time(self.now.load(SeqCst))
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(0)
    }

    fn chance(&self) -> u64 {
        0
    }
}

#[async_trait]
impl Replicas for Oracle {
    async fn whereabouts(&self, id: ReplicaId) -> Result<Option<Whereabouts>, Fault> {
        self.asked.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        let says = *self.says.lock().unwrap();
        let found = |lives| Some(Whereabouts { address: "10.0.0.7:8081".into(), lives });
        match says {
            _ if id != OWNER => Ok(None),
            Says::Lives => Ok(found(true)),
            Says::Lapsed => Ok(found(false)),
            Says::Nothing => Ok(None),
            Says::Away => Err(Fault::unavailable("the store", "away")),
            Says::Silence => std::future::pending().await,
        }
    }

    async fn register(&self, _: &Replica, _: Duration) -> Result<Fence, Fault> {
        unreachable!("only asked where others are")
    }

    async fn renew(&self, _: ReplicaId, _: Duration) -> Result<bool, Fault> {
        unreachable!("only asked where others are")
    }

    async fn set_draining(&self, _: ReplicaId, _: bool) -> Result<(), Fault> {
        unreachable!("only asked where others are")
    }

    async fn gone(&self, _: ReplicaId, _: &[ReplicaId], _: Duration) -> Result<Vec<ReplicaId>, Fault> {
        unreachable!("only asked where others are")
    }

    async fn draining(&self) -> Result<u32, Fault> {
        unreachable!("only asked where others are")
    }

    async fn held(&self, _: ReplicaId) -> Result<Vec<Held>, Fault> {
        unreachable!("only asked where others are")
    }

    async fn retire(&self, _: ReplicaId) -> Result<(), Fault> {
        unreachable!("only asked where others are")
    }

    async fn sweep(&self, _: ReplicaId, _: Duration) -> Result<u64, Fault> {
        unreachable!("only asked where others are")
    }
}

fn stage(says: Says) -> (Arc<Oracle>, Directory) {
    let now = AtomicU64::new(1_000_000);
    let oracle = Arc::new(Oracle { says: Mutex::new(says), asked: AtomicUsize::new(0), now });
    let directory = Directory::new(oracle.clone(), oracle.clone());
    (oracle, directory)
}

#[tokio::test]
async fn the_store_is_asked_once_for_all_who_want_to_know_and_again_after_a_while() {
    let (oracle, directory) = stage(Says::Lives);
    let all = futures_util::future::join_all((0..100).map(|_| directory.address(OWNER))).await;
    assert!(all.iter().all(|address| address.as_deref() == Some("10.0.0.7:8081")));
    assert_eq!(oracle.asked(), 1);
    oracle.pass(999);
    assert!(directory.address(OWNER).await.is_some());
    assert_eq!(oracle.asked(), 1);
    oracle.pass(1);
    oracle.says(Says::Nothing);
    assert!(directory.address(OWNER).await.is_none(), "it has retired");
    assert_eq!(oracle.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_the_last_address_is_used() {
    let (oracle, directory) = stage(Says::Lives);
    assert!(directory.address(OWNER).await.is_some());
    for says in [Says::Away, Says::Silence] {
        oracle.says(says);
        oracle.pass(60_000);
        let asked = oracle.asked();
        assert!(directory.address(OWNER).await.is_some(), "{says:?}");
        assert!(directory.address(OWNER).await.is_some(), "{says:?}");
        assert_eq!(oracle.asked(), asked + 1, "each asked for itself: {says:?}");
    }
    let (_, directory) = stage(Says::Silence);
    assert!(directory.address(OWNER).await.is_none());
}

#[tokio::test]
async fn a_lapsed_lease_is_given_a_moment_to_be_renewed() {
    let (oracle, directory) = stage(Says::Lapsed);
    assert!(directory.address(OWNER).await.is_some());
    oracle.pass(3_000);
    assert!(directory.address(OWNER).await.is_some());
    oracle.pass(1);
    assert!(directory.address(OWNER).await.is_none());
    oracle.says(Says::Lives);
    oracle.pass(1_000);
    assert!(directory.address(OWNER).await.is_some());
    oracle.says(Says::Lapsed);
    oracle.pass(1_000);
    assert!(directory.address(OWNER).await.is_some(), "the moment begins anew");
}

#[tokio::test]
async fn owners_that_clients_invent_take_no_known_ones_place() {
    let (oracle, directory) = stage(Says::Lives);
    assert!(directory.address(OWNER).await.is_some());
    for id in 0..3 * MOST as u128 {
        assert!(directory.address(ReplicaId(1_000 + id)).await.is_none());
        assert!(directory.entries.lock().unwrap().len() <= MOST);
    }
    oracle.says(Says::Away);
    oracle.pass(2_000);
    assert!(directory.address(OWNER).await.is_some(), "it was forgotten");
}
