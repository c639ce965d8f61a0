//! What each request holds of its exchange. Whichever way a request ends, dropping this tells the connection.

use super::{Exchange, Upgrade, Upgraded, Why, wake};
use crate::doors::socketio::{
    engine_packet::{CLOSE, NOOP, Packet},
    refusal::Refusal,
};
use bytes::Bytes;
use presence_core::close::Reason;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::WaitForCancellationFuture;

/// A GET that waits. One that goes away without its answer takes the connection with it: what it may have been given
/// is lost.
#[derive(Debug)]
pub(in crate::doors::socketio) struct Waiting {
    exchange: Arc<Exchange>,
    answer: oneshot::Receiver<Bytes>,
    answered: bool,
}

impl Waiting {
    pub(super) const fn new(exchange: Arc<Exchange>, answer: oneshot::Receiver<Bytes>) -> Self {
        Self { exchange, answer, answered: false }
    }

    pub(in crate::doors::socketio) async fn answer(mut self) -> Result<Bytes, Refusal> {
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
pub(in crate::doors::socketio) struct Posting {
    exchange: Arc<Exchange>,
    limit: usize,
    complete: bool,
}

impl Posting {
    pub(super) const fn new(exchange: Arc<Exchange>, limit: usize) -> Self {
        Self { exchange, limit, complete: false }
    }

    /// Bytes that its body may have.
    pub(in crate::doors::socketio) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns once the connection has taken all of it.
    pub(in crate::doors::socketio) async fn deliver(mut self, packets: Vec<Packet>) -> Result<(), Refusal> {
        let taken = match self.exchange.put(packets) {
            Ok(taken) => taken.await.map_err(|_| Refusal::UnknownSid),
            Err(refusal) => Err(refusal),
        };
        self.complete = true;
        taken
    }

    /// What the client sent breaks the rules.
    pub(in crate::doors::socketio) fn fail(mut self, reason: Reason) {
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
pub(in crate::doors::socketio) struct Upgrading {
    exchange: Arc<Exchange>,
}

impl Upgrading {
    pub(super) const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }

    /// The WebSocket works: a GET that waits is answered, so that the client can stop polling.
    pub(in crate::doors::socketio) fn probed(&self) {
        let mut inner = self.exchange.lock();
        inner.upgrade = Upgrade::Probed;
        inner.answer(NOOP);
    }

    /// From here on the WebSocket carries the connection, if there is one still.
    pub(in crate::doors::socketio) fn complete(self, upgraded: Upgraded) -> bool {
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
    pub(in crate::doors::socketio) fn over(&self) -> WaitForCancellationFuture<'_> {
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
