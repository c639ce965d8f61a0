//! This replica's lease: registered at the start, renewed while it lives, ended at a clean exit. Whoever has held one
//! for long enough sweeps the sessions of replicas whose lease has lapsed.
//!
//! A renewal has a time of its own, well below the lease's, and waits for nothing else: not for a sweep, and not for a
//! connection that claims compete for. `Tenure` is what the others need to know of it.

use crate::{
    engine::Standing,
    ports::{
        Fault,
        clock::Clock,
        session_store::{Replica, Replicas},
    },
    relay::Relay,
    telemetry::Metrics,
};
use presence_core::time::{Time, millis};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::Notify;

#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub ttl: Duration,
    pub renew_every: Duration,
    /// How long the agents of a lapsed replica have to come back before they have left.
    pub return_window: Duration,
}

impl Terms {
    /// How long a renewal may take: two that fail leave time for a third.
    fn patience(&self) -> Duration {
        (self.ttl / 3).max(Duration::from_millis(500)).min(self.ttl / 2)
    }

    /// How soon a renewal that failed is tried again.
    fn retry_after(&self) -> Duration {
        (self.ttl / 10).min(self.renew_every)
    }
}

#[derive(Debug)]
pub struct Lease {
    pub replicas: Arc<dyn Replicas>,
    pub clock: Arc<dyn Clock>,
    pub replica: Replica,
    pub standing: Standing,
    pub tenure: Tenure,
    pub relay: Arc<Relay>,
    pub metrics: Arc<Metrics>,
    pub terms: Terms,
}

impl Lease {
    pub async fn register(&self) -> Result<(), Fault> {
        let asked = self.clock.now();
        self.standing.set(self.replicas.register(&self.replica, self.terms.ttl).await?);
        self.tenure.begin(asked);
        self.metrics.lease_held.set(1);
        Ok(())
    }

    /// Renews and sweeps for as long as it is polled.
    pub async fn keep(self: Arc<Self>) {
        tokio::join!(self.renewing(), self.sweeping());
    }

    /// Ends the lease now, and for good: a renewal on its way must not bring it back.
    pub async fn retire(&self) -> Result<(), Fault> {
        self.tenure.end();
        self.replicas.retire(self.replica.id).await
    }

    async fn renewing(&self) {
        while !self.tenure.has_ended() {
            let asked = self.clock.now();
            let renewed = tokio::time::timeout(self.terms.patience(), self.renew(asked)).await;
            let every = match renewed.unwrap_or_else(|late| Err(Fault::unavailable("the lease", late))) {
                Ok(()) => self.terms.renew_every,
                Err(fault) => {
                    self.complain(&fault);
                    self.terms.retry_after()
                }
            };
            self.metrics.lease_held.set(self.tenure.is_held(self.clock.now()).into());
            let took = Duration::from_millis(self.clock.now().since(asked));
            // At least a little, so that a store that is slow is not asked without end.
            tokio::time::sleep(every.saturating_sub(took).max(self.terms.retry_after() / 2)).await;
        }
        // The process is about to end.
        std::future::pending::<()>().await;
    }

    /// Once for each outage, however often it is tried again.
    fn complain(&self, fault: &Fault) {
        let error = fault as &dyn std::error::Error;
        if self.tenure.doubt() {
            tracing::warn!(error, "renew the lease");
        } else {
            tracing::debug!(error, "renew the lease");
        }
    }

    async fn renew(&self, asked: Time) -> Result<(), Fault> {
        if self.replicas.renew(self.replica.id, self.terms.ttl).await? {
            self.tenure.renewed(asked);
            return Ok(());
        }
        if self.tenure.has_ended() {
            return Ok(());
        }
        self.register().await?;
        self.metrics.lease_lost.inc();
        tracing::warn!("the lease had lapsed; registered again");
        self.tenure.ring();
        Ok(())
    }

    /// Right after a renewal, when the store is there, but beside them all: it may take longer than a lease lasts.
    async fn sweeping(&self) {
        loop {
            self.tenure.0.proved.notified().await;
            // After an outage of the database nobody has renewed: nobody is dead for that.
            if self.tenure.may_sweep(self.clock.now()) {
                self.sweep().await;
            }
        }
    }

    async fn sweep(&self) {
        match self.replicas.sweep(self.replica.id, self.terms.return_window).await {
            Ok(0) => {}
            Ok(swept) => {
                // The events are this replica's to publish now.
                self.relay.nudge();
                self.metrics.swept.inc_by(swept);
                tracing::info!(swept, "swept the sessions of lapsed replicas");
            }
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "sweep lapsed replicas"),
        }
    }
}

/// Whether the lease is held, as far as this process can know: by its own clock, from the moment that a renewal was
/// asked for. A process that slept through its lease knows it before it has asked anybody.
#[derive(Debug, Clone)]
pub struct Tenure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ttl: u64,
    held: Mutex<Option<HeldSince>>,
    regained: Notify,
    /// A renewal has come through.
    proved: Notify,
    ended: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct HeldSince {
    renewed: Time,
    /// Renewals have followed each other since then, each within the lease of the one before. `None`: the latest failed.
    unbroken: Option<Time>,
}

impl Tenure {
    pub fn new(ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            ttl: millis(ttl),
            held: Mutex::default(),
            regained: Notify::new(),
            proved: Notify::new(),
            ended: AtomicBool::new(false),
        }))
    }

    /// Nothing of what was known before the last renewal is in doubt since.
    pub fn is_held(&self, now: Time) -> bool {
        !self.has_ended() && self.lock().is_some_and(|held| now.since(held.renewed) <= self.0.ttl)
    }

    /// Returns once the lease was lost and registered again; once for however often that was since it was last asked.
    pub async fn regained(&self) {
        self.0.regained.notified().await;
    }

    /// Whether renewals have followed each other for a whole lease, so that everybody else had the time to renew, too.
    /// A failure breaks that, and so does a pause as long as a lease, whatever came before and after it.
    pub fn may_sweep(&self, now: Time) -> bool {
        let held = *self.lock();
        let proved = held.and_then(|held| Some(held.renewed.since(held.unbroken?) >= self.0.ttl));
        self.is_held(now) && proved == Some(true)
    }

    fn begin(&self, asked: Time) {
        *self.lock() = Some(HeldSince { renewed: asked, unbroken: Some(asked) });
    }

    fn renewed(&self, asked: Time) {
        let mut held = self.lock();
        let before = held.filter(|before| asked.since(before.renewed) <= self.0.ttl);
        let unbroken = before.and_then(|before| before.unbroken).unwrap_or(asked);
        *held = Some(HeldSince { renewed: asked, unbroken: Some(unbroken) });
        drop(held);
        self.0.proved.notify_one();
    }

    /// A renewal failed. The lease runs on for as long as it was given. Returns whether it is the first to fail.
    fn doubt(&self) -> bool {
        self.lock().as_mut().is_some_and(|held| held.unbroken.take().is_some())
    }

    fn end(&self) {
        self.0.ended.store(true, SeqCst);
    }

    fn has_ended(&self) -> bool {
        self.0.ended.load(SeqCst)
    }

    fn ring(&self) {
        self.0.regained.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<HeldSince>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure() -> Tenure {
        let tenure = Tenure::new(Duration::from_secs(10));
        tenure.begin(Time(1_000));
        tenure
    }

    fn renew(tenure: &Tenure, at: impl IntoIterator<Item = u64>) {
        at.into_iter().for_each(|at| tenure.renewed(Time(at)));
    }

    #[test]
    fn a_lease_is_held_for_as_long_as_it_was_given_and_not_before_it_was() {
        assert!(!Tenure::new(Duration::from_secs(10)).is_held(Time(0)));
        let tenure = tenure();
        assert!(tenure.is_held(Time(11_000)) && !tenure.is_held(Time(11_001)));
        tenure.renewed(Time(4_000));
        assert!(tenure.doubt() && !tenure.doubt());
        assert!(tenure.is_held(Time(14_000)) && !tenure.is_held(Time(14_001)));
    }

    #[test]
    fn whoever_has_renewed_for_a_whole_lease_may_sweep() {
        let tenure = tenure();
        renew(&tenure, [4_000, 7_000, 10_000]);
        assert!(!tenure.may_sweep(Time(12_999)), "nothing was renewed for the last second of it");
        tenure.renewed(Time(13_000));
        assert!(tenure.may_sweep(Time(13_001)));
    }

    #[test]
    fn a_renewal_that_failed_begins_the_count_anew() {
        let tenure = tenure();
        renew(&tenure, [4_000, 7_000, 10_000]);
        tenure.doubt();
        renew(&tenure, [13_000, 16_000, 19_000, 22_000]);
        assert!(!tenure.may_sweep(Time(22_000)));
        tenure.renewed(Time(25_000));
        assert!(tenure.may_sweep(Time(25_000)));
    }

    #[test]
    fn a_sleep_ends_the_right_to_sweep_before_and_after_the_next_renewal() {
        let tenure = tenure();
        renew(&tenure, [4_000, 7_000, 10_000, 13_000]);
        let woken = 70_000;
        assert!(!tenure.may_sweep(Time(woken)) && !tenure.is_held(Time(woken)));
        tenure.renewed(Time(woken));
        assert!(tenure.is_held(Time(woken)) && !tenure.may_sweep(Time(woken)));
    }

    #[test]
    fn a_renewal_that_was_slept_through_counts_from_when_it_was_asked_for() {
        let tenure = tenure();
        // Asked for at 4 s, answered at 60 s.
        tenure.renewed(Time(4_000));
        assert!(!tenure.is_held(Time(60_000)));
    }

    #[test]
    fn a_lease_that_was_given_back_is_held_no_more_whatever_is_still_answered() {
        let tenure = tenure();
        tenure.end();
        tenure.renewed(Time(4_000));
        assert!(!tenure.is_held(Time(4_000)) && !tenure.may_sweep(Time(4_000)));
    }

    #[test]
    fn a_renewal_may_fail_twice_within_a_lease() {
        for ttl in [1, 2, 10, 300].map(Duration::from_secs) {
            let terms = Terms { ttl, renew_every: ttl * 3 / 10, return_window: Duration::ZERO };
            assert!(terms.patience() < ttl && terms.retry_after() > Duration::ZERO);
            assert!(terms.renew_every + terms.patience() + terms.retry_after() < ttl, "{ttl:?}");
        }
    }
}
