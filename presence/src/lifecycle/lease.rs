//! This replica's lease: registered at the start, renewed while it lives, ended at a clean exit. Whoever holds one
//! sweeps the sessions of replicas whose lease has lapsed.

use crate::{
    engine::Standing,
    ports::{
        Fault,
        clock::Clock,
        session_store::{Replica, Replicas},
    },
};
use presence_core::time::{Time, millis};
use std::{sync::Arc, time::Duration};

#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub ttl: Duration,
    pub renew_every: Duration,
    /// How long the agents of a lapsed replica have to come back before they have left.
    pub return_window: Duration,
}

#[derive(Debug)]
pub struct Lease {
    pub replicas: Arc<dyn Replicas>,
    pub clock: Arc<dyn Clock>,
    pub replica: Replica,
    pub standing: Standing,
    pub terms: Terms,
}

impl Lease {
    pub async fn register(&self) -> Result<(), Fault> {
        self.standing.set(self.replicas.register(&self.replica, self.terms.ttl).await?);
        Ok(())
    }

    /// Renews and sweeps for as long as it is polled.
    pub async fn keep(self: Arc<Self>) {
        let mut unbroken_since: Option<Time> = None;
        let mut every = tokio::time::interval(self.terms.renew_every);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.renew().await {
                Ok(true) => {
                    let now = self.clock.now();
                    let since = *unbroken_since.get_or_insert(now);
                    // After an outage of the database nobody has renewed: nobody is dead for that.
                    if now.since(since) >= millis(self.terms.ttl) {
                        self.sweep().await;
                    }
                }
                Ok(false) => {
                    unbroken_since = None;
                    tracing::warn!("the lease had lapsed; registered again");
                }
                Err(fault) => {
                    unbroken_since = None;
                    tracing::warn!(error = &fault as &dyn std::error::Error, "renew the lease");
                }
            }
        }
    }

    async fn renew(&self) -> Result<bool, Fault> {
        if self.replicas.renew(self.replica.id, self.terms.ttl).await? {
            return Ok(true);
        }
        self.register().await?;
        Ok(false)
    }

    async fn sweep(&self) {
        match self.replicas.sweep(self.replica.id, self.terms.return_window).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "swept the sessions of lapsed replicas"),
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "sweep lapsed replicas"),
        }
    }
}
