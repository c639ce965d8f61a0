//! Tokens verified lately, by their hash: a reconnect storm brings the same ones again, and a signature costs more.
//!
//! An entry dies with its token, after its time, and with the keys it was verified by. Holds no token's text.

use super::{keyring::Keyring, keys::KeySet, options::TokenCacheOptions};
use crate::{
    adapters::recent::Recent,
    ports::{authn::Identity, clock::Clock},
};
use presence_core::time::Time;
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A token's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 32]);

impl Print {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    /// The set it was verified by, and the ring that knows whether that still counts.
    verified_by: (Arc<Keyring>, Arc<KeySet>),
    until: Time,
}

#[derive(Debug)]
pub(super) struct Remembered {
    entries: Mutex<Recent<Print, Arc<Entry>>>,
    ttl: Duration,
}

impl Remembered {
    pub(super) fn new(options: TokenCacheOptions) -> Self {
        Self { entries: Mutex::new(Recent::new(options.capacity)), ttl: options.ttl }
    }

    pub(super) fn recall(&self, print: &Print, clock: &dyn Clock) -> Option<Identity> {
        let entry = Arc::clone(self.lock().get(print)?);
        let (ring, keys) = &entry.verified_by;
        let valid =
            clock.now() < entry.until && clock.wall() < entry.identity.expires && ring.is_current(keys);
        if !valid {
            self.lock().remove(print);
            return None;
        }
        Some(entry.identity.clone())
    }

    pub(super) fn remember(
        &self,
        print: Print,
        identity: &Identity,
        verified_by: (Arc<Keyring>, Arc<KeySet>),
        clock: &dyn Clock,
    ) {
        let entry = Entry {
            identity: identity.clone(),
            verified_by,
            until: clock.now().after(super::keyring::millis(self.ttl)),
        };
        self.lock().insert(print, Arc::new(entry));
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Print, Arc<Entry>>> {
        // A cache is right whatever half of it a panic left behind.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
