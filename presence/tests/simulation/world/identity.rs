//! Who asks, and what time it is: a token that says its account and its end, everybody admitted, and a clock per replica
//! that may be wrong about the wall but never about what has passed.

use super::World;
use crate::chance::Chance;
use async_trait::async_trait;
use presence::ports::{
    authn::{self, Authn, Identity},
    authz::{self, Action, Authz, Object},
    clock::Clock,
};
use presence_core::time::{Time, UnixMicros};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Of all agents.
pub(crate) const AUDIENCE: &str = "school.example";

/// A token for an account until a moment on the world's wall clock.
pub(crate) fn token(account: &str, until: i64) -> String {
    format!("{account} {until}")
}

/// A replica's clock.
#[derive(Debug)]
pub(crate) struct ItsClock {
    world: Arc<World>,
    chance: Chance,
    origin: Instant,
    skew: i64,
}

impl ItsClock {
    pub(crate) fn new(world: &Arc<World>, name: &str) -> Self {
        let chance = world.chance(name);
        // Every other clock is wrong, by up to an hour.
        let skew = if chance.percent(50) { 0 } else { chance.between(0..=7_200).cast_signed() - 3_600 };
        Self { world: world.clone(), chance, origin: Instant::now(), skew: skew * 1_000_000 }
    }
}

impl Clock for ItsClock {
    fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(self.world.now() + self.skew)
    }

    fn chance(&self) -> u64 {
        self.chance.draw()
    }
}

/// Trusts every token, and reads its end on the replica's own clock.
#[derive(Debug)]
pub(crate) struct Trusting(pub(crate) Arc<ItsClock>);

#[async_trait]
impl Authn for Trusting {
    async fn authenticate(&self, token: &str) -> Result<Identity, authn::Error> {
        let (account, until) = token.split_once(' ').ok_or(authn::Error::Rejected("no token"))?;
        let until: i64 = until.parse().map_err(|_| authn::Error::Rejected("no end"))?;
        tokio::time::sleep(Duration::from_millis(self.0.chance.between(0..=2))).await;
        if until <= self.0.world.now() {
            return Err(authn::Error::Rejected("expired"));
        }
        let read = |_| authn::Error::Rejected("no account");
        Ok(Identity {
            account: account.parse().map_err(read)?,
            audience: AUDIENCE.parse().map_err(read)?,
            expires: UnixMicros(until + self.0.skew),
            classrooms: None,
            org_id: None,
            role: None,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Admitting;

#[async_trait]
impl Authz for Admitting {
    async fn authorize(&self, _: &Identity, _: Action, _: &Object) -> Result<(), authz::Error> {
        tokio::task::yield_now().await;
        Ok(())
    }
}
