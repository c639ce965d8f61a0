//! Group commit: requests that come together are done together.
//!
//! Callers put requests into a bounded queue; one future, which the composition root runs, takes whatever waits and
//! performs it as one batch, a few batches at a time. Nothing is delayed to make a batch larger: an idle batcher
//! performs a lone request at once, and batches form from what arrives while others are under way. Two requests of one
//! key are never performed at the same time. It spawns nothing and knows no database.

mod lines;

use crate::ports::Fault;
use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lines::{Group, Lines};
use std::{fmt::Debug, hash::Hash, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

/// What is done in batches.
#[async_trait]
pub trait Work: Debug + Send + Sync + 'static {
    type Request: Send + 'static;
    type Response: Clone + Send + 'static;
    type Key: Clone + Eq + Hash + Send + Sync;

    /// What the work is called in a fault.
    const WHAT: &'static str;
    /// What becomes of requests of the same key.
    const SAME_KEY: SameKey;
    /// What becomes of a request whose caller has gone before it was begun.
    const ABANDONED: Abandoned;

    fn key(request: &Self::Request) -> Self::Key;

    /// Performs requests of distinct keys; one response each, in their order. It ends within a bounded time.
    async fn perform(&self, requests: Vec<Self::Request>) -> Result<Vec<Self::Response>, Fault>;
}

/// What becomes of requests of the same key that wait together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameKey {
    /// One after the other, in the order they came.
    TakesTurns,
    /// The first is performed, once all that share its response have asked.
    Shares,
}

/// What becomes of a request whose caller has gone before it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    Dropped,
    Performed,
}

/// The bounds of a batcher.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that wait or are under way. One more is refused at once.
    pub queue: usize,
    /// Requests in a batch.
    pub batch: usize,
    /// Batches under way at a time.
    pub in_flight: usize,
    /// How long a caller waits in all, from asking to the answer.
    pub wait: Duration,
    /// A batch that is not full is not followed by another one sooner than this after it began. Whoever comes after a
    /// rest is not kept waiting.
    pub pace: Duration,
}

struct Entry<W: Work> {
    request: W::Request,
    caller: Caller<W>,
}

struct Caller<W: Work> {
    reply: oneshot::Sender<Result<W::Response, Fault>>,
    /// Its place in the queue, given back just before the answer.
    place: OwnedSemaphorePermit,
}

impl<W: Work> Caller<W> {
    fn answer(self, result: Result<W::Response, Fault>) {
        let Self { reply, place } = self;
        drop(place);
        // A caller may have gone meanwhile: an answer that nobody takes is no error.
        drop(reply.send(result));
    }
}

/// The callers' side.
pub struct Batcher<W: Work> {
    entries: mpsc::Sender<Entry<W>>,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl<W: Work> Debug for Batcher<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("what", &W::WHAT)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// The performing side.
#[derive(Debug)]
pub struct Runner<W: Work> {
    work: W,
    entries: mpsc::Receiver<Entry<W>>,
    limits: Limits,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the queue is full")]
    QueueFull,
    #[error("it is not running")]
    Stopped,
    #[error("no answer in time")]
    Late,
    #[error("{asked} requests got {answered} answers")]
    Miscounted { asked: usize, answered: usize },
}

/// One fault that befell several callers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Shared(#[source] Arc<Fault>);

/// A batcher and the future that does its work.
pub fn batcher<W: Work>(work: W, limits: Limits) -> (Batcher<W>, Runner<W>) {
    // The channel has a slot for every place, so it is never full while a caller holds one.
    let (sender, entries) = mpsc::channel(limits.queue);
    let batcher = Batcher { entries: sender, places: Arc::new(Semaphore::new(limits.queue)), limits };
    let runner = Runner { work, entries, limits };
    (batcher, runner)
}

impl<W: Work> Batcher<W> {
    /// Has the request performed. A caller that is dropped while it waits takes nothing of others with it; whether its
    /// own request is performed then, `Work::ABANDONED` says.
    pub async fn call(&self, request: W::Request) -> Result<W::Response, Fault> {
        let unavailable = |error: Error| Fault::unavailable(W::WHAT, error);
        let place = self.places.clone().try_acquire_owned().map_err(|_| unavailable(Error::QueueFull))?;
        let (reply, answer) = oneshot::channel();
        let caller = Caller { reply, place };
        self.entries.try_send(Entry { request, caller }).map_err(|_| unavailable(Error::Stopped))?;
        match tokio::time::timeout(self.limits.wait, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Err(unavailable(Error::Stopped)),
            Err(_) => Err(unavailable(Error::Late)),
        }
    }

    /// Requests that wait or are under way.
    pub fn queued(&self) -> usize {
        self.limits.queue - self.places.available_permits()
    }
}

impl<W: Work> Runner<W> {
    /// Performs until every `Batcher` is dropped and the last request is answered.
    pub async fn run(self) {
        let Self { work, mut entries, limits } = self;
        let mut lines = Lines::new();
        let mut in_flight = FuturesUnordered::new();
        let mut arrived = Vec::new();
        let mut open = true;
        while open || !in_flight.is_empty() || !lines.is_empty() {
            tokio::select! {
                count = entries.recv_many(&mut arrived, limits.queue), if open => {
                    open = count > 0;
                    arrived.drain(..).for_each(|entry| lines.push(entry));
                }
                Some(keys) = in_flight.next(), if !in_flight.is_empty() => lines.finish(keys),
            }
            while in_flight.len() < limits.in_flight {
                let batch = lines.take(limits.batch);
                if batch.is_empty() {
                    break;
                }
                in_flight.push(paced(perform(&work, batch), limits));
            }
        }
    }
}

/// Holds a batch's place until its pace is over, unless the batch was full.
async fn paced<K>(performing: impl Future<Output = Vec<K>>, limits: Limits) -> Vec<K> {
    let over = Instant::now() + limits.pace;
    let keys = performing.await;
    if keys.len() < limits.batch && !limits.pace.is_zero() {
        tokio::time::sleep_until(over).await;
    }
    keys
}

/// Performs a batch, answers its callers, and says which keys are free again.
async fn perform<W: Work>(work: &W, batch: Vec<Group<W>>) -> Vec<W::Key> {
    let mut keys = Vec::with_capacity(batch.len());
    let mut requests = Vec::with_capacity(batch.len());
    let mut callers = Vec::with_capacity(batch.len());
    for group in batch {
        keys.push(group.key);
        requests.push(group.request);
        callers.push(group.callers);
    }
    let asked = requests.len();
    let result = match work.perform(requests).await {
        Ok(responses) if responses.len() != asked => {
            let answered = responses.len();
            Err(Fault::failed(W::WHAT, Error::Miscounted { asked, answered }))
        }
        other => other,
    };
    answer(callers, result);
    keys
}

fn answer<W: Work>(callers: Vec<Vec<Caller<W>>>, result: Result<Vec<W::Response>, Fault>) {
    match result {
        Ok(responses) => {
            for (group, response) in callers.into_iter().zip(responses) {
                for caller in group {
                    caller.answer(Ok(response.clone()));
                }
            }
        }
        Err(fault) => {
            let fault = Arc::new(fault);
            for caller in callers.into_iter().flatten() {
                caller.answer(Err(share(&fault)));
            }
        }
    }
}

fn share(fault: &Arc<Fault>) -> Fault {
    let shared = Shared(Arc::clone(fault));
    match **fault {
        Fault::Unavailable { what, .. } => Fault::unavailable(what, shared),
        Fault::Failed { what, .. } => Fault::failed(what, shared),
    }
}

#[cfg(test)]
mod tests;
