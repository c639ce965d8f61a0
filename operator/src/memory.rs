//! What is remembered of a resource between two looks at it. All of it may be lost at any time: it saves requests and idle
//! words, and decides nothing.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{ResourceExt as _, api::DynamicObject};
use presence_api::admin::Stats;
use tokio::time::Instant;

use crate::{
    compare::{hash, substance},
    object::ObjectRef,
    observed::SeenPod,
    queue::Key,
    rotate::Shared,
    validate::References,
};

/// A written object that the watch has not shown after this was removed since, or the watch is broken.
const UNSEEN: Duration = Duration::from_secs(10);
/// What a ready pod said last counts for so long: three questions in a row that it did not answer.
const SILENCE: Duration = Duration::from_secs(30);
/// After the first failure, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// Of one resource.
#[derive(Debug, Default)]
pub struct Memory {
    /// Made anew is another one.
    pub uid: String,
    /// What the Secrets it names looked like.
    pub secrets: Option<Secrets>,
    /// What we wrote, until the watch shows it.
    written: HashMap<ObjectRef, (Instant, Arc<DynamicObject>)>,
    /// By object: the hash of what we applied, and of what the API server made of it.
    rendered: HashMap<ObjectRef, (String, String)>,
    /// Names that were seen to be free.
    pub free: BTreeSet<ObjectRef>,
    /// What pods said last, by uid.
    heard: HashMap<String, (Instant, Stats)>,
    /// When the status was last written.
    pub status_written: Option<Instant>,
    /// Of its Ready condition.
    pub ready: bool,
}

#[derive(Clone, Debug)]
pub struct Secrets {
    pub generation: Option<i64>,
    pub at: Instant,
    pub references: References,
    /// What is said to pods, and how it is kept.
    pub shared: Option<Shared>,
    pub kept: Kept,
}

/// How the Secret `NAME-internal` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Absent,
    /// Somebody else has the name: it is neither used nor written.
    Theirs,
    /// With its resource version: all is as we wrote it.
    Whole(Option<String>),
    /// What can be saved of it is to be written again.
    Damaged(Option<String>),
}

impl Memory {
    pub fn wrote(&mut self, name: ObjectRef, applied: String, object: Arc<DynamicObject>) {
        let made = hash(&substance(&crate::caches::value(&object)));
        self.rendered.insert(name.clone(), (applied, made));
        self.written.insert(name, (Instant::now(), object));
    }

    /// A write by another field manager.
    pub fn scaled(&mut self, name: ObjectRef, object: Arc<DynamicObject>) {
        self.written.insert(name, (Instant::now(), object));
    }

    pub fn removed(&mut self, name: &ObjectRef) {
        self.written.remove(name);
        self.rendered.remove(name);
        self.free.remove(name);
    }

    /// Whether the API server made exactly this of what is to be applied.
    pub fn rendered(&self, name: &ObjectRef, applied: &str, live: &DynamicObject) -> bool {
        self.rendered.get(name).is_some_and(|(hash_applied, made)| {
            hash_applied == applied && *made == hash(&substance(&crate::caches::value(live)))
        })
    }

    /// What the watches know, with our own writes that they have not shown yet.
    pub fn overlay(
        &mut self,
        mut seen: HashMap<ObjectRef, Arc<DynamicObject>>,
    ) -> HashMap<ObjectRef, Arc<DynamicObject>> {
        self.written.retain(|name, (at, object)| {
            at.elapsed() < UNSEEN && seen.get(name).is_none_or(|seen| version(seen) < version(object))
        });
        seen.extend(self.written.iter().map(|(name, (_, object))| (name.clone(), Arc::clone(object))));
        seen
    }

    /// A question that a busy pod was too slow to answer is no news of it: what it said before still counts for a while.
    pub fn bridge(&mut self, pods: &mut [SeenPod]) {
        let mut before = std::mem::take(&mut self.heard);
        for seen in pods {
            let uid = seen.pod.uid().unwrap_or_default();
            let former = before.remove(&uid).filter(|(at, _)| seen.is_ready() && at.elapsed() < SILENCE);
            let latest = seen.stats.clone().map(|stats| (Instant::now(), stats)).or(former);
            seen.stats = latest.as_ref().map(|(_, stats)| stats.clone());
            self.heard.extend(latest.map(|latest| (uid, latest)));
        }
    }

    /// Something that was written has not been shown by its watch.
    pub fn awaits(&self) -> bool {
        !self.written.is_empty()
    }
}

/// Versions of one kind of object are numbers that grow. Anything else counts as old.
fn version(of: &DynamicObject) -> u64 {
    of.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Of all resources. One that is being looked at is taken out.
#[derive(Debug, Default)]
pub struct Memories {
    of: Mutex<HashMap<Key, Memory>>,
    failures: Mutex<HashMap<Key, u32>>,
}

impl Memories {
    pub fn take(&self, key: &Key, uid: &str) -> Memory {
        let known = lock(&self.of).remove(key).filter(|known| known.uid == uid);
        known.unwrap_or_else(|| Memory { uid: uid.to_owned(), ..Memory::default() })
    }

    pub fn keep(&self, key: Key, memory: Memory) {
        lock(&self.of).insert(key, memory);
    }

    pub fn forget(&self, key: &Key) {
        lock(&self.of).remove(key);
        lock(&self.failures).remove(key);
    }

    /// Another operator may have acted since.
    pub fn forget_all(&self) {
        lock(&self.of).clear();
        lock(&self.failures).clear();
    }

    pub fn succeeded(&self, key: &Key) {
        lock(&self.failures).remove(key);
    }

    /// How long to wait now: twice as long as the last time.
    pub fn failed(&self, key: &Key) -> Duration {
        let mut failures = lock(&self.failures);
        let count = failures.entry(key.clone()).or_default();
        let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(*count)).min(LAST_RETRY);
        *count = count.saturating_add(1);
        wait
    }

    /// How many are ready, and how many are not.
    pub fn ready(&self) -> (usize, usize) {
        let of = lock(&self.of);
        let ready = of.values().filter(|memory| memory.ready).count();
        (ready, of.len() - ready)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { namespace: "n".to_owned(), name: "x".to_owned() }
    }

    #[test]
    fn failures_wait_longer_each_time_and_a_success_begins_anew() {
        let memories = Memories::default();
        let waits: Vec<_> = (0..11).map(|_| memories.failed(&key()).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        memories.succeeded(&key());
        assert_eq!(memories.failed(&key()).as_secs(), 1);
    }

    #[test]
    fn a_resource_that_was_made_anew_is_another_one() {
        let memories = Memories::default();
        let mut memory = memories.take(&key(), "u1");
        memory.ready = true;
        memories.keep(key(), memory);
        assert_eq!(memories.ready(), (1, 0));
        assert!(memories.take(&key(), "u2").secrets.is_none());
        assert!(!memories.take(&key(), "u1").ready, "what was taken is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ready_pod_that_is_silent_once_is_as_it_was() {
        let pod = |uid: &str, ready: &str, agents: Option<u64>| {
            let pod = serde_json::json!({
                "metadata": { "uid": uid },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            });
            SeenPod { pod: serde_json::from_value(pod).unwrap(), stats: agents.map(stats) }
        };
        let told = |memory: &mut Memory, mut pods: Vec<SeenPod>| {
            memory.bridge(&mut pods);
            pods.iter().map(|pod| pod.stats.as_ref().map(|stats| stats.agents)).collect::<Vec<_>>()
        };
        let mut memory = Memory::default();
        let both = |one, two| vec![pod("a", "True", one), pod("b", "True", two)];
        assert_eq!(told(&mut memory, both(Some(3), None)), [Some(3), None], "one was never heard");
        assert_eq!(told(&mut memory, both(None, Some(4))), [Some(3), Some(4)]);
        tokio::time::advance(SILENCE).await;
        assert_eq!(told(&mut memory, both(None, Some(5))), [None, Some(5)], "silent for too long");
        assert_eq!(told(&mut memory, vec![pod("b", "False", None)]), [None], "it is not well");
        assert_eq!(told(&mut memory, both(None, None)), [None, None]);
    }

    fn stats(agents: u64) -> Stats {
        let said = serde_json::json!({
            "replica": "r", "label": "p", "state": "serving", "since": "2026-01-01T00:00:00Z", "ending": false,
            "accepting": true, "agents": agents, "waiting": 0, "told": 0, "sharing": 1, "safe_to_delete": false,
        });
        serde_json::from_value(said).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_is_seen_before_the_watch_shows_it() {
        let object = |version: &str| {
            let value = serde_json::json!({ "metadata": { "name": "x", "resourceVersion": version } });
            Arc::new(serde_json::from_value::<DynamicObject>(value).unwrap())
        };
        let name =
            ObjectRef { api_version: "v1".to_owned(), kind: "Service".to_owned(), name: "x".to_owned() };
        let seen = |version| HashMap::from([(name.clone(), object(version))]);
        let shown = |memory: &mut Memory, seen| memory.overlay(seen).get(&name).map(|found| version(found));
        let mut memory = Memory::default();
        memory.wrote(name.clone(), "h".to_owned(), object("12"));
        assert_eq!(shown(&mut memory, HashMap::new()), Some(12));
        assert_eq!(shown(&mut memory, seen("9")), Some(12));
        assert!(memory.rendered(&name, "h", &object("13")), "a version is no substance");
        assert!(!memory.rendered(&name, "i", &object("13")));
        assert_eq!(shown(&mut memory, seen("13")), Some(13));
        assert!(!memory.awaits());
        memory.wrote(name.clone(), "h".to_owned(), object("14"));
        tokio::time::advance(UNSEEN).await;
        assert_eq!(shown(&mut memory, HashMap::new()), None, "it was removed in the meantime");
    }
}
