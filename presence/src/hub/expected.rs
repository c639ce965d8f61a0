//! Who is on the way to a seat: from before the claim until it sits. An ask to let go may overtake a claim that is
//! already in the store, but not yet in a room; it is kept here until that one arrives.
//!
//! It holds as many entries as there are connects under way, and nothing once they are over.

use presence_core::{ids::SessionKey, session::Held};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone, Default)]
pub(super) struct OnTheWay(Arc<Mutex<HashMap<SessionKey, Coming>>>);

#[derive(Debug, Default)]
struct Coming {
    /// How many are on the way with this key.
    many: usize,
    /// Claims up to this one are to go.
    let_go: Option<Held>,
}

/// Somebody is on the way, until this is dropped.
#[derive(Debug)]
pub struct Expected {
    on_the_way: OnTheWay,
    key: SessionKey,
}

impl OnTheWay {
    pub(super) fn expect(&self, key: &SessionKey) -> Expected {
        self.lock().entry(key.clone()).or_default().many += 1;
        Expected { on_the_way: self.clone(), key: key.clone() }
    }

    /// Returns whether anybody is on the way with this key.
    pub(super) fn let_go(&self, key: &SessionKey, held: Held) -> bool {
        let mut coming = self.lock();
        let Some(coming) = coming.get_mut(key) else { return false };
        coming.let_go = coming.let_go.max(Some(held));
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Coming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// Whether this claim was asked to go before it sat. To be asked once it sits: who asks looks at the seats last.
    pub fn is_let_go(&self, held: Held) -> bool {
        let coming = self.on_the_way.lock();
        coming.get(&self.key).and_then(|coming| coming.let_go).is_some_and(|let_go| held <= let_go)
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut coming = self.on_the_way.lock();
        let Some(same) = coming.get_mut(&self.key) else { return };
        same.many -= 1;
        if same.many == 0 {
            coming.remove(&self.key);
        }
    }
}
