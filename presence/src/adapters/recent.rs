//! A bounded map that forgets what was not asked for lately, for verified tokens and cached decisions.
//!
//! Two generations: new and asked-for entries live in the young one; when that is full it becomes the old one and the
//! old one is dropped whole. So it never holds more than its capacity, every operation is O(1) (the drop is amortised),
//! and a flood of new keys costs the others at most a second look-up. It knows no time: entries carry their own end.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    hash::Hash,
    mem,
};

pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Holds at most `capacity` entries; none when it is below 2.
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: capacity / 2 }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.generation == 0 {
            return;
        }
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl<K: Eq + Hash, V> Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_asked_for_survives_a_flood_of_strangers() {
        let mut recent = Recent::new(100);
        recent.insert(0, "kept");
        for key in 1..10_000 {
            recent.insert(key, "stranger");
            assert_eq!(recent.get(&0), Some(&"kept"));
        }
        assert_eq!(recent.get(&1), None);
    }

    #[test]
    fn a_capacity_below_two_turns_it_off() {
        for capacity in [0, 1] {
            let mut recent = Recent::new(capacity);
            recent.insert(1, ());
            assert_eq!(recent.get(&1), None);
        }
    }

    proptest! {
        #[test]
        fn it_never_outgrows_its_capacity_and_never_gives_a_stale_value(
            capacity in 0_usize..12,
            steps in prop::collection::vec((0_u8..16, 0_u8..3, any::<u32>()), 0..200),
        ) {
            let mut recent = Recent::new(capacity);
            let mut truth = HashMap::new();
            for (key, step, value) in steps {
                match step {
                    0 => {
                        recent.insert(key, value);
                        truth.insert(key, value);
                    }
                    1 => {
                        recent.remove(&key);
                        truth.remove(&key);
                    }
                    _ => {
                        if let Some(found) = recent.get(&key) {
                            prop_assert_eq!(Some(found), truth.get(&key));
                        }
                    }
                }
                prop_assert!(recent.len() <= capacity);
            }
        }
    }
}
