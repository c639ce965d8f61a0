//! Where the requests of a client that polls and its connection meet. Requests come and go, each in a task of its own;
//! the connection is polled by the runner, in one.
//!
//! Nothing is queued here: what a POST brought waits with it until it is taken, and what is to be sent stays in the
//! mailbox until a GET waits for it. Whatever ends the connection ends the requests that wait.

mod requests;

pub(in crate::doors::socketio) use requests::{Posting, Upgrading, Waiting};

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
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(in crate::doors::socketio) struct Exchange {
    inner: Mutex<Inner>,
    credentials: Credentials,
    limits: Limits,
    /// Cancelled when the connection is over: who tries a WebSocket for it need not go on.
    over: CancellationToken,
}

/// A WebSocket that takes over, and its place among the connections.
#[derive(Debug)]
pub(in crate::doors::socketio) struct Upgraded {
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
    pub(in crate::doors::socketio) fn new(credentials: Credentials, limits: Limits) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), credentials, limits, over: CancellationToken::new() })
    }

    /// Whether this is who opened the connection.
    pub(in crate::doors::socketio) fn is_of(&self, credentials: Credentials) -> bool {
        self.credentials == credentials
    }

    /// A GET begins to wait. A second one at a time ends the connection.
    pub(in crate::doors::socketio) fn wait(self: &Arc<Self>) -> Result<Waiting, Refusal> {
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
        Ok(Waiting::new(self.clone(), answer))
    }

    /// A POST begins. A second one at a time ends the connection.
    pub(in crate::doors::socketio) fn post(self: &Arc<Self>) -> Result<Posting, Refusal> {
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
        Ok(Posting::new(self.clone(), limit))
    }

    /// A WebSocket wants to take over. One at a time.
    pub(in crate::doors::socketio) fn upgrade(self: &Arc<Self>) -> Result<Upgrading, Refusal> {
        let mut inner = self.lock();
        if inner.is_over() {
            return Err(Refusal::UnknownSid);
        }
        if inner.upgrade != Upgrade::None {
            return Err(Refusal::BadRequest);
        }
        inner.upgrade = Upgrade::Begun;
        drop(inner);
        Ok(Upgrading::new(self.clone()))
    }

    #[cfg(test)]
    pub(in crate::doors::socketio) fn is_waited_for(&self) -> bool {
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

    /// Lets a GET that waits go without packets: its client asks again, and what is to be sent stays where it is.
    pub(in crate::doors::socketio) fn release(&self) {
        self.lock().answer(NOOP);
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
    pub(in crate::doors::socketio) fn poll_packet(&self, cx: &Context<'_>) -> Poll<Result<Packet, Incoming>> {
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
    pub(in crate::doors::socketio) fn poll_waiting(&self, cx: &Context<'_>) -> Poll<Result<(), Broken>> {
        let mut inner = self.lock();
        match inner.ended {
            Some(Ended { told: true, .. }) => Poll::Ready(Err(Broken)),
            None if inner.waiting.is_some() => Poll::Ready(Ok(())),
            _ => inner.pend(cx),
        }
    }

    /// Whether there was a GET to answer.
    pub(in crate::doors::socketio) fn answer(&self, body: Bytes) -> bool {
        self.lock().answer(body)
    }

    /// The client has been told that this is the end.
    pub(in crate::doors::socketio) fn close(&self) {
        self.lock().end(Why::PeerClosed, CLOSE);
    }

    /// The WebSocket that takes over from here on.
    pub(in crate::doors::socketio) fn take_upgraded(&self) -> Option<Upgraded> {
        let mut inner = self.lock();
        if inner.inbox.is_empty() { inner.socket.take() } else { None }
    }

    pub(in crate::doors::socketio) fn trust(&self) {
        self.lock().trusted = true;
    }

    /// The connection is no more: whatever waits for it, waits no longer.
    pub(in crate::doors::socketio) fn over(&self) {
        let mut inner = self.lock();
        inner.ended.get_or_insert(Ended { why: Why::Broken, told: true });
        (inner.waker, inner.waiting, inner.taken, inner.socket) = (None, None, None, None);
        inner.inbox = VecDeque::new();
        drop(inner);
        self.over.cancel();
    }
}
