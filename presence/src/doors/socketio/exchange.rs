//! Where the requests of a client that polls and its connection meet. Requests come and go, each in a task of its own;
//! the connection is polled by the runner, in one.
//!
//! Nothing is queued here: what a POST brought waits with it until it is taken, and what is to be sent stays in the
//! mailbox until a GET waits for it. Whatever ends the connection ends the requests that wait.

use super::{
    engine_packet::{CLOSE, NOOP, Packet},
    query::Credentials,
    refusal::Refusal,
};
use crate::{
    doors::websocket::{Limits, Socket},
    transport::{Broken, Incoming},
};
use bytes::Bytes;
use presence_core::close::Reason;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

#[derive(Debug)]
pub(super) struct Exchange {
    inner: Mutex<Inner>,
    credentials: Credentials,
    limits: Limits,
    /// Cancelled when the connection is over: who tries a WebSocket for it need not go on.
    over: CancellationToken,
}

/// A WebSocket that takes over, and its place among the connections.
#[derive(Debug)]
pub(super) struct Upgraded {
    pub socket: Socket,
    pub place: Arc<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The connection's.
    waker: Option<Waker>,
    /// What a POST brought, and has not been taken yet.
    inbox: VecDeque<Packet>,
    /// Told when all of it has.
    taken: Option<oneshot::Sender<()>>,
    /// A POST is being served.
    posting: bool,
    /// The GET that waits.
    waiting: Option<oneshot::Sender<Bytes>>,
    upgrade: Upgrade,
    socket: Option<Upgraded>,
    /// The client was let in.
    trusted: bool,
    ended: Option<Ended>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Upgrade {
    #[default]
    None,
    /// A WebSocket is there.
    Begun,
    /// It works; the client is to poll no more.
    Probed,
    /// It has taken over.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    why: Why,
    /// The connection knows.
    told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    PeerClosed,
    Broken,
    Violation(Reason),
}

impl Inner {
    /// No request is served any more.
    fn is_over(&self) -> bool {
        self.ended.is_some() || self.upgrade == Upgrade::Done
    }

    fn answer(&mut self, body: Bytes) -> bool {
        // Where the request went away at this very moment, its guard says so.
        self.waiting.take().map(|waiting| waiting.send(body)).is_some()
    }

    /// The first reason counts. The GET that waits is told `last`.
    fn end(&mut self, why: Why, last: Bytes) {
        if self.ended.is_none() {
            self.ended = Some(Ended { why, told: false });
            self.answer(last);
        }
    }

    fn pend<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Wakes the connection after the lock is released.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The side of requests.
impl Exchange {
    pub(super) fn new(credentials: Credentials, limits: Limits) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), credentials, limits, over: CancellationToken::new() })
    }

    /// Whether this is who opened the connection.
    pub(super) fn is_of(&self, credentials: Credentials) -> bool {
        self.credentials == credentials
    }

    /// A GET begins to wait. A second one at a time ends the connection.
    pub(super) fn wait(self: &Arc<Self>) -> Result<Waiting, Refusal> {
        let mut inner = self.lock();
        if inner.is_over() {
            return Err(Refusal::UnknownSid);
        }
        if inner.waiting.is_some() {
            inner.end(Why::Violation(Reason::ProtocolError), CLOSE);
            wake(inner);
            return Err(Refusal::BadRequest);
        }
        let (sender, answer) = oneshot::channel();
        inner.waiting = Some(sender);
        if inner.upgrade == Upgrade::Probed {
            // The client waits for this one alone before it changes over.
            inner.answer(NOOP);
        }
        wake(inner);
        Ok(Waiting { exchange: self.clone(), answer, answered: false })
    }

    /// A POST begins. A second one at a time ends the connection.
    pub(super) fn post(self: &Arc<Self>) -> Result<Posting, Refusal> {
        let mut inner = self.lock();
        if inner.is_over() {
            return Err(Refusal::UnknownSid);
        }
        if inner.posting {
            inner.end(Why::Violation(Reason::ProtocolError), CLOSE);
            wake(inner);
            return Err(Refusal::BadRequest);
        }
        inner.posting = true;
        let limit = if inner.trusted { self.limits.trusted } else { self.limits.untrusted };
        drop(inner);
        Ok(Posting { exchange: self.clone(), limit, complete: false })
    }

    /// A WebSocket wants to take over. One at a time.
    pub(super) fn upgrade(self: &Arc<Self>) -> Result<Upgrading, Refusal> {
        let mut inner = self.lock();
        if inner.is_over() {
            return Err(Refusal::UnknownSid);
        }
        if inner.upgrade != Upgrade::None {
            return Err(Refusal::BadRequest);
        }
        inner.upgrade = Upgrade::Begun;
        drop(inner);
        Ok(Upgrading { exchange: self.clone() })
    }

    #[cfg(test)]
    pub(super) fn is_waited_for(&self) -> bool {
        self.lock().waiting.is_some()
    }

    fn put(&self, packets: Vec<Packet>) -> Result<oneshot::Receiver<()>, Refusal> {
        let mut inner = self.lock();
        if inner.is_over() {
            return Err(Refusal::UnknownSid);
        }
        let (sender, taken) = oneshot::channel();
        inner.inbox = packets.into();
        inner.taken = Some(sender);
        wake(inner);
        Ok(taken)
    }

    fn break_off(&self) {
        let mut inner = self.lock();
        inner.end(Why::Broken, NOOP);
        wake(inner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's side.
impl Exchange {
    /// What came in, in order; then how it ended.
    pub(super) fn poll_packet(&self, cx: &Context<'_>) -> Poll<Result<Packet, Incoming>> {
        let mut inner = self.lock();
        if let Some(packet) = inner.inbox.pop_front() {
            if packet == Packet::Close {
                inner.end(Why::PeerClosed, NOOP);
            }
            if inner.inbox.is_empty()
                && let Some(taken) = inner.taken.take()
            {
                // Nobody may wait for it any more.
                let _ = taken.send(());
            }
            return Poll::Ready(Ok(packet));
        }
        let Some(ended) = &mut inner.ended else { return inner.pend(cx) };
        ended.told = true;
        Poll::Ready(Err(match ended.why {
            Why::PeerClosed => Incoming::PeerClosed,
            Why::Broken => Incoming::Broken,
            Why::Violation(reason) => Incoming::Violation(reason),
        }))
    }

    /// Ready when a GET waits. That the connection has ended is heard from `poll_packet` first.
    pub(super) fn poll_waiting(&self, cx: &Context<'_>) -> Poll<Result<(), Broken>> {
        let mut inner = self.lock();
        match inner.ended {
            Some(Ended { told: true, .. }) => Poll::Ready(Err(Broken)),
            None if inner.waiting.is_some() => Poll::Ready(Ok(())),
            _ => inner.pend(cx),
        }
    }

    /// Whether there was a GET to answer.
    pub(super) fn answer(&self, body: Bytes) -> bool {
        self.lock().answer(body)
    }

    /// The client has been told that this is the end.
    pub(super) fn close(&self) {
        self.lock().end(Why::PeerClosed, CLOSE);
    }

    /// The WebSocket that takes over from here on.
    pub(super) fn take_upgraded(&self) -> Option<Upgraded> {
        let mut inner = self.lock();
        if inner.inbox.is_empty() { inner.socket.take() } else { None }
    }

    pub(super) fn trust(&self) {
        self.lock().trusted = true;
    }

    /// The connection is no more: whatever waits for it, waits no longer.
    pub(super) fn over(&self) {
        let mut inner = self.lock();
        inner.ended.get_or_insert(Ended { why: Why::Broken, told: true });
        (inner.waker, inner.waiting, inner.taken, inner.socket) = (None, None, None, None);
        inner.inbox = VecDeque::new();
        drop(inner);
        self.over.cancel();
    }
}

/// A GET that waits. One that goes away without its answer takes the connection with it: what it may have been given
/// is lost.
#[derive(Debug)]
pub(super) struct Waiting {
    exchange: Arc<Exchange>,
    answer: oneshot::Receiver<Bytes>,
    answered: bool,
}

impl Waiting {
    pub(super) async fn answer(mut self) -> Result<Bytes, Refusal> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.map_err(|_| Refusal::UnknownSid)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.exchange.break_off();
        }
    }
}

/// A POST that is being read. One that is not read to its end takes the connection with it.
#[derive(Debug)]
pub(super) struct Posting {
    exchange: Arc<Exchange>,
    limit: usize,
    complete: bool,
}

impl Posting {
    /// Bytes that its body may have.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns once the connection has taken all of it.
    pub(super) async fn deliver(mut self, packets: Vec<Packet>) -> Result<(), Refusal> {
        let taken = match self.exchange.put(packets) {
            Ok(taken) => taken.await.map_err(|_| Refusal::UnknownSid),
            Err(refusal) => Err(refusal),
        };
        self.complete = true;
        taken
    }

    /// What the client sent breaks the rules.
    pub(super) fn fail(mut self, reason: Reason) {
        self.complete = true;
        let mut inner = self.exchange.lock();
        inner.end(Why::Violation(reason), CLOSE);
        wake(inner);
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.exchange.lock().posting = false;
        if !self.complete {
            self.exchange.break_off();
        }
    }
}

/// A WebSocket on its way to take over. Where it does not come to that, polling goes on.
#[derive(Debug)]
pub(super) struct Upgrading {
    exchange: Arc<Exchange>,
}

impl Upgrading {
    /// The WebSocket works: a GET that waits is answered, so that the client can stop polling.
    pub(super) fn probed(&self) {
        let mut inner = self.exchange.lock();
        inner.upgrade = Upgrade::Probed;
        inner.answer(NOOP);
    }

    /// From here on the WebSocket carries the connection, if there is one still.
    pub(super) fn complete(self, upgraded: Upgraded) -> bool {
        let mut inner = self.exchange.lock();
        if inner.is_over() {
            return false;
        }
        inner.upgrade = Upgrade::Done;
        inner.answer(NOOP);
        inner.socket = Some(upgraded);
        wake(inner);
        true
    }

    /// Returns when there is no connection to take over any more.
    pub(super) fn over(&self) -> WaitForCancellationFuture<'_> {
        self.exchange.over.cancelled()
    }
}

impl Drop for Upgrading {
    fn drop(&mut self) {
        let mut inner = self.exchange.lock();
        if inner.upgrade != Upgrade::Done {
            inner.upgrade = Upgrade::None;
        }
    }
}
