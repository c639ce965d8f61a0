//! A socket: two lanes of frames with a delay each, a server's end that is a `Transport`, and a client's. It can be
//! reset, fall silent, and be left unread until it takes no more.

use super::{World, lock};
use bytes::Bytes;
use presence::transport::{Broken, Incoming, Outgoing, Transport};
use presence_core::close::Reason;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Bytes under way to a client who does not read, before the server's end takes no more.
const WINDOW: usize = 4 * 1024;

/// What a client sends.
#[derive(Debug)]
pub(crate) enum FromClient {
    Text(Bytes),
    Pong,
    Close,
}

/// What a client gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    Text(Bytes),
    Ping,
    Close(u16),
    /// The end, without a close frame before it or after one.
    End,
}

/// One direction, in order.
#[derive(Debug)]
struct Lane<T> {
    queue: VecDeque<(Instant, T)>,
    last_due: Instant,
    /// Nothing comes after what is queued.
    ended: bool,
    waker: Option<Waker>,
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { queue: VecDeque::new(), last_due: Instant::now(), ended: false, waker: None }
    }

    fn push(&mut self, frame: T, flight: Duration) {
        if !self.ended {
            self.last_due = self.last_due.max(Instant::now() + flight);
            self.queue.push_back((self.last_due, frame));
            self.wake();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next frame, once it is due; `None` at the end.
    fn poll(&mut self, cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Sleep>>>) -> Poll<Option<T>> {
        self.waker = Some(cx.waker().clone());
        let Some((due, _)) = self.queue.front() else {
            return if self.ended { Poll::Ready(None) } else { Poll::Pending };
        };
        if *due > Instant::now() {
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)));
            if timer.deadline() != *due {
                timer.as_mut().reset(*due);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(self.queue.pop_front().map(|(_, frame)| frame))
    }
}

#[derive(Debug)]
struct Lanes {
    to_server: Lane<FromClient>,
    to_client: Lane<FromServer>,
    /// Bytes that the client has not read.
    unread: usize,
    /// The server's end, waiting for room.
    writer: Option<Waker>,
    /// It was reset: what was under way is lost.
    reset: bool,
    /// What is sent arrives nowhere, and nobody is told.
    silent: bool,
}

/// What both ends share.
#[derive(Debug)]
pub(crate) struct Link(Mutex<Lanes>);

impl Link {
    /// A new socket, from its handshake on.
    pub(crate) fn open(world: &Arc<World>) -> (Arc<Self>, ServerEnd, ClientEnd) {
        let link = Arc::new(Self(Mutex::new(Lanes {
            to_server: Lane::new(),
            to_client: Lane::new(),
            unread: 0,
            writer: None,
            reset: false,
            silent: false,
        })));
        let server = ServerEnd { link: link.clone(), world: world.clone(), timer: None };
        let client = ClientEnd { link: link.clone(), world: world.clone(), timer: None };
        (link, server, client)
    }

    pub(crate) fn reset(&self) {
        let mut lanes = lock(&self.0);
        lanes.reset = true;
        lanes.to_server.queue.clear();
        lanes.to_client.queue.clear();
        lanes.to_server.end();
        lanes.to_client.end();
        lanes.let_write();
    }

    /// As when the network between both is gone.
    pub(crate) fn silence(&self) {
        let mut lanes = lock(&self.0);
        lanes.silent = true;
        lanes.to_server.queue.clear();
        lanes.to_client.queue.clear();
    }

    /// Whether the client leaves more unread than the server's end takes.
    pub(crate) fn is_stalled(&self) -> bool {
        let lanes = lock(&self.0);
        lanes.unread >= WINDOW && !lanes.reset
    }
}

impl Lanes {
    fn let_write(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

/// The server's end.
pub(crate) struct ServerEnd {
    link: Arc<Link>,
    world: Arc<World>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Transport for ServerEnd {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let polled = lock(&self.link.0).to_server.poll(cx, &mut self.timer);
        Poll::Ready(match std::task::ready!(polled) {
            Some(FromClient::Text(text)) => Incoming::Text(text),
            Some(FromClient::Pong) => Incoming::Pong,
            Some(FromClient::Close) => Incoming::PeerClosed,
            None => Incoming::Broken,
        })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut lanes = lock(&self.link.0);
        if lanes.reset {
            return Poll::Ready(Err(Broken));
        }
        if lanes.unread >= WINDOW {
            lanes.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, frame: Outgoing) {
        let frame = match frame {
            Outgoing::Text(text) | Outgoing::Binary(text) => FromServer::Text(text),
            Outgoing::Ping => FromServer::Ping,
            Outgoing::Close(reason) => FromServer::Close(reason.row().code),
        };
        let mut lanes = lock(&self.link.0);
        lanes.unread += frame.size();
        if !lanes.silent {
            lanes.to_client.push(frame, self.world.weather.flight());
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let reset = lock(&self.link.0).reset;
        Poll::Ready(if reset { Err(Broken) } else { Ok(()) })
    }

    fn trust(&mut self) {}
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut lanes = lock(&self.link.0);
        if !lanes.silent {
            lanes.to_client.end();
        }
    }
}

impl FromServer {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ping | Self::Close(_) | Self::End => 2,
        }
    }
}

/// A client's end. Dropped, it ends the socket without a word.
pub(crate) struct ClientEnd {
    link: Arc<Link>,
    world: Arc<World>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientEnd")
    }
}

impl ClientEnd {
    pub(crate) fn send(&self, frame: FromClient) {
        let mut lanes = lock(&self.link.0);
        if !lanes.silent {
            lanes.to_server.push(frame, self.world.weather.flight());
        }
    }

    /// The next frame. Nothing is lost when it is dropped before it is ready.
    pub(crate) async fn read(&mut self) -> FromServer {
        std::future::poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<FromServer> {
        let mut lanes = lock(&self.link.0);
        let frame = std::task::ready!(lanes.to_client.poll(cx, &mut self.timer));
        let frame = frame.unwrap_or(FromServer::End);
        lanes.unread = lanes.unread.saturating_sub(frame.size());
        lanes.let_write();
        Poll::Ready(frame)
    }

    /// Says good-bye, and waits a while for the answer.
    pub(crate) async fn close(mut self) {
        self.send(FromClient::Close);
        let answered = async {
            loop {
                if matches!(self.read().await, FromServer::Close(_) | FromServer::End) {
                    return;
                }
            }
        };
        // Answered or not, it is over.
        let _ = tokio::time::timeout(Duration::from_secs(2), answered).await;
    }

    pub(crate) fn reset(&self) {
        self.link.reset();
    }

    pub(crate) fn silence(&self) {
        self.link.silence();
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let mut lanes = lock(&self.link.0);
        if !lanes.silent {
            lanes.to_server.end();
        }
        // There is nobody any more who could be slow to read.
        lanes.unread = 0;
        lanes.let_write();
    }
}

/// Whether a client should come back after such a code.
pub(crate) fn comes_back(code: u16) -> bool {
    Reason::ALL.iter().find(|reason| reason.row().code == code).is_none_or(|reason| reason.reconnect())
}
