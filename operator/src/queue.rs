//! Which resources are to be looked at: each once, however much was heard of it. It is no longer than there are resources.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

/// A `PresenceCluster`, by where it is and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<BTreeSet<Key>>,
    heard: Notify,
}

impl Queue {
    pub fn push(&self, key: Key) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.heard.notify_one();
    }

    /// The next one. For one reader at a time.
    pub async fn next(&self) -> Key {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match next {
                Some(key) => return key,
                None => self.heard.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "n".to_owned(), name: name.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_twice_is_looked_at_once() {
        let queue = Queue::default();
        for name in ["a", "b", "a"] {
            queue.push(key(name));
        }
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(queue.next().await, key("b"));
        assert!(timeout(Duration::from_mins(1), queue.next()).await.is_err());
        queue.push(key("a"));
        assert_eq!(queue.next().await, key("a"));
    }
}
