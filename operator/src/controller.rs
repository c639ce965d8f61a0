//! The loop: looks at a resource when something concerns it, when its plan asks for it, and after a failure, each time later.
//! It acts only while the lease is held; when that ends everything under way is dropped at once, and it stands by again:
//! nothing of the former term is left, so an API server that was away costs no restart.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use kube::{
    api::DynamicObject,
    discovery::ApiResource,
    runtime::{
        controller::{Action, Config, applier},
        reflector::ObjectRef,
    },
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    crd::PresenceCluster,
    health::Pulse,
    leader::Term,
    memory::Memories,
    queue::Key,
    reconcile::{ReconcileError, Reconciler},
    telemetry::{Metrics, chain, metrics::Outcome},
    watches::{self, Resources},
};

/// Events that come within this time of each other are one.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// What is under way at the end gets this long.
const FAREWELL: Duration = Duration::from_secs(4);
/// How often the loop says that it lives.
const PULSE: Duration = Duration::from_secs(2);

/// Of the whole process.
#[derive(Debug)]
pub struct Controller {
    pub reconciler: Reconciler,
    pub memories: Arc<Memories>,
    pub resources: Vec<Resources>,
    pub term: Term,
    pub stop: CancellationToken,
    pub metrics: Arc<Metrics>,
    pub pulse: Pulse,
    /// Looks at a time, over all scopes.
    pub turns: Semaphore,
    pub waits: Mutex<HashMap<Key, Duration>>,
}

impl Controller {
    /// Until it is told to stop.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut term = this.term.clone();
        while !this.stop.is_cancelled() {
            this.pulse.beat();
            tokio::select! {
                biased;
                () = this.stop.cancelled() => return,
                () = sleep(PULSE) => continue,
                () = term.begun() => {}
            }
            if !this.reconciler.fetcher.caches.behind().is_empty() {
                // Not everything has been seen: what is not known to be there would be made again.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
            this.metrics.leads(true);
            Arc::clone(&this).act(&mut term).await;
            this.metrics.leads(false);
        }
    }

    /// One term.
    async fn act(self: Arc<Self>, term: &mut Term) {
        self.memories.forget_all();
        let looks = self.resources.iter().map(|resources| Arc::clone(&self).looks(resources).boxed());
        let mut looks = stream::select_all(looks);
        loop {
            self.pulse.beat();
            tokio::select! {
                biased;
                () = term.ended() => {
                    tracing::warn!("the lease is lost: everything under way is dropped");
                    return;
                }
                () = self.stop.cancelled() => break,
                look = looks.next() => if look.is_none() { break },
                () = sleep(PULSE) => {}
            }
        }
        // Each look ends at its next write.
        if timeout(FAREWELL, looks.for_each(|()| async {})).await.is_err() {
            tracing::warn!("what was under way is dropped");
        }
    }

    fn looks(self: Arc<Self>, resources: &Resources) -> impl stream::Stream<Item = ()> + Send + use<> {
        resources.look_at_all();
        let queue = Arc::clone(&resources.queue);
        let wanted = stream::unfold(queue, |queue| async move {
            let key = queue.next().await;
            Some((Ok::<_, Infallible>(reference(&key)), queue))
        });
        let wanted = wanted.take_until(self.stop.clone().cancelled_owned()).boxed();
        let config = Config::default().debounce(DEBOUNCE);
        let policy =
            |object: Arc<DynamicObject>, _: &ReconcileError, this: Arc<Self>| this.after_failure(&object);
        let look =
            |object: Arc<DynamicObject>, this: Arc<Self>| Box::pin(async move { this.look(&object).await });
        let forgets = Arc::clone(&self);
        applier(look, policy, self, resources.store.clone(), wanted, config).map(move |looked| {
            if let Err(kube::runtime::controller::Error::ObjectNotFound(gone)) = looked {
                let namespace = gone.namespace.clone().unwrap_or_default();
                forgets.memories.forget(&Key { namespace, name: gone.name.clone() });
                forgets.count();
            }
        })
    }

    /// One look at one resource.
    async fn look(&self, object: &DynamicObject) -> Result<Action, ReconcileError> {
        // Never closed, so it cannot fail.
        let _turn = self.turns.acquire().await;
        let Some(key) = watches::key(object) else { return Ok(Action::await_change()) };
        let began = Instant::now();
        let done = self.reconciler.reconcile(&key, object).await;
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(error) => error.outcome(),
        };
        self.metrics.reconciled(outcome, began.elapsed(), jiff::Timestamp::now());
        self.count();
        match done {
            Ok(again) => {
                self.memories.succeeded(&key);
                Ok(Action::requeue(jittered(again)))
            }
            Err(error) => {
                let wait = jittered(self.memories.failed(&key));
                let (namespace, name) = (&key.namespace, &key.name);
                let after = wait.as_secs_f32();
                tracing::warn!(namespace, name, error = %chain(&error), after, "a resource is looked at again later");
                self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(key, wait);
                Err(error)
            }
        }
    }

    fn after_failure(&self, object: &DynamicObject) -> Action {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = watches::key(object).and_then(|key| waits.remove(&key));
        Action::requeue(wait.unwrap_or(Duration::from_secs(1)))
    }

    fn count(&self) {
        let (ready, not_ready) = self.memories.ready();
        self.metrics.resources(ready, not_ready);
    }
}

fn reference(key: &Key) -> ObjectRef<DynamicObject> {
    ObjectRef::new_with(&key.name, ApiResource::erase::<PresenceCluster>(&())).within(&key.namespace)
}

/// A tenth more or less, so that resources that were made together are not looked at together for ever.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 2001;
    let factor = 0.9 + f64::from(u32::try_from(random).unwrap_or(1000)) / 10_000.0;
    wait.mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_keeps_within_a_tenth() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(100));
            assert!((Duration::from_secs(90)..=Duration::from_secs(110)).contains(&wait), "{wait:?}");
        }
    }
}
