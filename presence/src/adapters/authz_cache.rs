//! Decisions of an authorisation service, kept a short while: a yes longer than a no, so that a right that was just
//! given is felt soon. What could not be decided is not kept.

use super::recent::Recent;
use crate::ports::{
    authz::{Action, Object},
    clock::Clock,
};
use presence_core::{
    ids::{Account, Audience},
    time::{Time, millis},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// Decisions kept; those least recently asked for go first. 0 keeps none.
    pub capacity: usize,
    pub allowed: Duration,
    pub denied: Duration,
}

impl CacheOptions {
    pub const DEFAULT: Self =
        Self { capacity: 10_000, allowed: Duration::from_secs(30), denied: Duration::from_secs(5) };
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// All that a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) audience: Audience,
    pub(super) account: Account,
    pub(super) action: Action,
    pub(super) object: Object,
}

#[derive(Debug)]
struct Decision {
    allowed: bool,
    until: Time,
}

#[derive(Debug)]
pub(super) struct Decisions {
    kept: Mutex<Recent<Question, Decision>>,
    options: CacheOptions,
    clock: Arc<dyn Clock>,
}

impl Decisions {
    pub(super) fn new(options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        Self { kept: Mutex::new(Recent::new(options.capacity)), options, clock }
    }

    pub(super) fn recall(&self, question: &Question) -> Option<bool> {
        let now = self.clock.now();
        let mut kept = self.lock();
        let decision = kept.get(question)?;
        if now < decision.until {
            return Some(decision.allowed);
        }
        kept.remove(question);
        None
    }

    pub(super) fn remember(&self, question: Question, allowed: bool) {
        let ttl = if allowed { self.options.allowed } else { self.options.denied };
        let until = self.clock.now().after(millis(ttl));
        self.lock().insert(question, Decision { allowed, until });
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Question, Decision>> {
        // A cache is right whatever half of it a panic left behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
