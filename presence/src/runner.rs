//! The one loop that every socket of every door lives in: hear → `core::session::step` → do.
//!
//! All policy is in the core, all words are the conversation's, all bytes are the transport's. The loop reads, writes and
//! waits in one poll, so that a client who does not read still hears its pings time out and its session be replaced.

use crate::{
    conversation::{Conversation, Desk, Heard, Said, Seated, Served, Words},
    engine::Engine,
    event::Tongue,
    flows::release::release,
    hub::{Command, Mailbox, Seat},
    ledger::{Guest, Line},
    telemetry::Counted,
    transport::{Broken, Incoming, Outgoing, Transport},
};
use bytes::Bytes;
use presence_core::{
    close::Reason,
    drain::Cause,
    ids::Fence,
    session::{Effect, Effects, Input, Rules, Session},
    time::Time,
};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// How long a client may take to answer our close frame before the connection is simply dropped.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How many answers may wait for a client that is not in yet.
const REPLIES_BEFORE: usize = 16;

/// What a door gives to all of its sockets.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub rules: Rules,
    pub tongue: Tongue,
}

/// Runs a socket from its handshake to its last effect. `gate` is what it holds until its client was let in.
pub async fn run<T: Transport, C: Conversation, G: Send>(
    engine: Arc<Engine>,
    terms: Terms,
    (transport, conversation): (T, C),
    gate: G,
) {
    let mut socket = Socket::new(engine, terms, transport, conversation);
    let mut gate = Some(gate);
    while !socket.session.is_gone() {
        let mut next = Some(socket.hear().await);
        while let Some(input) = next.take() {
            gate.take_if(|_| matches!(input, Input::Connected { .. } | Input::Admitted { .. }));
            next = socket.step(input).await;
        }
    }
    // On the heap, as `serve` is: it comes once in a socket's life.
    Box::pin(socket.conversation.over(&socket.engine, socket.left)).await;
}

/// A transport and what the loop keeps beside it.
struct Socket<T, C> {
    engine: Arc<Engine>,
    rules: Rules,
    /// `None` once the session is only waiting for its agent to come back.
    transport: Option<T>,
    conversation: C,
    session: Session,
    mailbox: Arc<Mailbox>,
    seat: Option<(Seat, Counted)>,
    /// Of a client who is in and has no session.
    guest: Option<Guest>,
    /// When the request that is to be served was heard.
    fence: Fence,
    /// What the next ending says.
    words: Words,
    /// Why it was last told to go, and when to come back.
    going: (Cause, u64),
    /// When a drain closes it, as far as it heard that before it was let in.
    leave_by: Option<Time>,
    /// Frames that go before those of the mailbox.
    first: VecDeque<Outgoing>,
    /// The client went for good.
    left: bool,
    timer: Pin<Box<Sleep>>,
    /// The deadline that the timer is set to.
    set_to: Option<Time>,
    owned: Owned,
}

impl<T: Transport, C: Conversation> Socket<T, C> {
    fn new(engine: Arc<Engine>, terms: Terms, transport: T, conversation: C) -> Self {
        let queue_bytes = engine.deps.config.native.queue_bytes as usize;
        let mut socket = Self {
            session: Session::open(&terms.rules, engine.deps.clock.now()),
            rules: terms.rules,
            mailbox: Arc::new(Mailbox::of(terms.tongue, queue_bytes)),
            owned: Owned { engine: engine.clone(), line: None },
            engine,
            transport: Some(transport),
            conversation,
            seat: None,
            guest: None,
            fence: Fence::default(),
            words: Words::default(),
            going: (Cause::Shutdown, 0),
            leave_by: None,
            first: VecDeque::new(),
            left: false,
            timer: Box::pin(tokio::time::sleep(Duration::MAX)),
            set_to: None,
        };
        socket.set_timer();
        socket
    }

    /// One input, and all that follows from it; a finished connect is an input of its own.
    async fn step(&mut self, input: Input) -> Option<Input> {
        if matches!(input, Input::Replaced | Input::Disowned) {
            self.owned.line = None;
        }
        let now = self.engine.deps.clock.now();
        let effects = self.session.step(input, &self.rules, now);
        let next = self.perform(effects).await;
        if self.session.has_no_socket() {
            self.transport = None;
            self.mailbox.outlive_socket();
        }
        self.set_timer();
        next
    }

    /// Sets the timer to the session's next deadline, if that has changed.
    fn set_timer(&mut self) {
        let wakes = self.session.wakes();
        if self.set_to == wakes {
            return;
        }
        self.set_to = wakes;
        let wait = wakes.map_or(u64::MAX, |at| at.since(self.engine.deps.clock.now()));
        // A month is as good as never, and no timer overflows.
        self.timer.as_mut().reset(Instant::now() + Duration::from_millis(wait.min(30 * 86_400_000)));
    }

    async fn hear(&mut self) -> Input {
        let engine = self.engine.clone();
        // Whoever is in is told in a wave, whenever its turn comes; the others hear of a drain here.
        let unseated = self.seat.is_none() && self.guest.is_none() && !self.session.has_yielded();
        tokio::select! {
            biased;
            until = engine.draining.until_changes(self.leave_by), if unseated => {
                self.leave_by = until;
                until.map_or(Input::Stay, |until| Input::Drain { until, after: 0 })
            }
            input = std::future::poll_fn(|cx| self.poll_input(cx)) => input,
        }
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if let Poll::Ready(command) = self.mailbox.poll_command(cx) {
            return Poll::Ready(self.commanded(command));
        }
        if let Poll::Ready(Err(Broken)) = self.poll_write(cx) {
            return Poll::Ready(Input::Broken);
        }
        if let Some(transport) = &mut self.transport
            && let Poll::Ready(incoming) = transport.poll_incoming(cx)
        {
            return Poll::Ready(self.understand(incoming));
        }
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.set_to = None;
        Poll::Ready(Input::Tick)
    }

    fn commanded(&mut self, command: Command) -> Input {
        match command {
            Command::Replaced => Input::Replaced,
            Command::Disowned => Input::Disowned,
            Command::Evicted => Input::Evicted,
            Command::Overflowed => Input::Overflow,
            Command::Drain { until, reconnect_after_ms } => {
                self.going = (Cause::Shutdown, reconnect_after_ms);
                Input::Drain { until, after: reconnect_after_ms }
            }
            Command::Shed { reconnect_after_ms } => {
                self.going = (Cause::Rebalance, reconnect_after_ms);
                Input::Shed { after: reconnect_after_ms }
            }
            Command::Stay => Input::Stay,
        }
    }

    fn understand(&mut self, incoming: Incoming) -> Input {
        match incoming {
            Incoming::Text(text) => self.hear_out(Said::Text(text)),
            Incoming::Binary(bytes) => self.hear_out(Said::Binary(bytes)),
            Incoming::Ping => Input::Frame,
            Incoming::Pong => Input::Pong,
            Incoming::PeerClosed => Input::PeerClosed,
            Incoming::Broken => Input::Broken,
            Incoming::Violation(reason) => Input::Violation(reason),
        }
    }

    fn hear_out(&mut self, said: Said) -> Input {
        match self.conversation.hear(said) {
            Heard::Request => {
                self.fence = self.engine.standing.fence();
                Input::Request
            }
            Heard::Nothing => Input::Frame,
            Heard::Reply(frame) => self.reply(frame),
            Heard::Goodbye => Input::PeerClosed,
            Heard::Malformed(malformed) => {
                self.words.detail = Some(malformed.detail);
                Input::Malformed(malformed.reason)
            }
        }
    }

    /// A client that asks and does not read is closed: one that is in as any slow reader.
    fn reply(&mut self, frame: Bytes) -> Input {
        if self.seat.is_some() || self.guest.is_some() {
            self.mailbox.push(frame);
        } else if self.first.len() < REPLIES_BEFORE {
            self.first.push_back(Outgoing::Text(frame));
        } else {
            return Input::Violation(Reason::PolicyViolation);
        }
        Input::Frame
    }

    /// Moves what waits into the transport, and the transport's buffer onto the wire.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(transport) = &mut self.transport else {
            return Poll::Pending;
        };
        loop {
            std::task::ready!(transport.poll_ready(cx))?;
            if let Some(frame) = self.first.pop_front() {
                transport.send(frame);
            } else if (self.seat.is_some() || self.guest.is_some())
                && let Poll::Ready(frame) = self.mailbox.poll_frame(cx)
            {
                transport.send(Outgoing::Text(frame));
            } else {
                return transport.poll_flush(cx);
            }
        }
    }

    async fn perform(&mut self, effects: Effects) -> Option<Input> {
        let (mut next, mut closing, mut releasing) = (None, None, None);
        for effect in effects {
            match effect {
                Effect::Serve => next = self.serve().await,
                Effect::Ping => self.first.push_back(Outgoing::Ping),
                Effect::Tell(reason) => {
                    self.words.reconnect_after_ms = Some(self.going.1);
                    self.say(reason);
                }
                Effect::Close(reason) => {
                    self.engine.deps.metrics.close(reason);
                    self.left = !reason.reconnect();
                    // What still waits is not for a client that is being closed.
                    self.first.clear();
                    self.words.closes = true;
                    self.say(reason);
                    closing = Some(reason);
                }
                Effect::Detach => (self.seat, self.guest) = (None, None),
                Effect::Release { held, ended } => releasing = Some((held, ended)),
            }
        }
        // A client that is slow to say good-bye does not delay its own `left`, nor a slow store the good-bye; and what has
        // been given up is not answered for any longer.
        let line = releasing.and_then(|_| self.owned.line.take());
        let mut owned = Owned { engine: self.engine.clone(), line };
        let give_up = async move {
            if let Some((held, ended)) = releasing {
                Box::pin(release(&owned.engine, held, ended)).await;
                drop(owned.line.take());
            }
        };
        tokio::join!(self.farewell(closing), give_up);
        next
    }

    async fn serve(&mut self) -> Option<Input> {
        let desk = Desk { engine: &self.engine, fence: self.fence, mailbox: &self.mailbox };
        // On the heap: a flow's state is large, and seldom needed in a socket's life.
        match Box::pin(self.conversation.serve(desk)).await {
            Served::Connected { seated: Seated { seat, line, expires }, frames } => {
                self.welcome(frames);
                self.guest = None;
                self.seat = Some((seat, Counted::new(&self.engine.deps.metrics.sessions)));
                let held = line.held();
                self.owned.line = Some(line);
                Some(Input::Connected { held, expires })
            }
            Served::Admitted { guest, expires, frames } => {
                self.welcome(frames);
                self.guest = Some(guest);
                Some(Input::Admitted { expires })
            }
            Served::Answered(frames) => {
                for frame in frames {
                    // A client who asks and does not read is closed as one who reads too slowly.
                    self.mailbox.push(frame);
                }
                None
            }
            Served::Refused(refused) => Some(Input::Refused(refused.0)),
        }
    }

    fn welcome(&mut self, frames: Vec<Bytes>) {
        self.first.extend(frames.into_iter().map(Outgoing::Text));
        if let Some(transport) = &mut self.transport {
            transport.trust();
        }
    }

    fn say(&mut self, reason: Reason) {
        if self.words.reconnect_after_ms.is_none() {
            self.words.reconnect_after_ms = self.engine.reconnect_after(reason);
        }
        if reason == Reason::Terminated {
            self.words.reason = Some(self.going.0.as_str());
        }
        let frames = self.conversation.ending(reason, &self.words);
        self.first.extend(frames.into_iter().map(Outgoing::Text));
        self.words = Words::default();
    }

    /// Sends what is left to say, and waits a bounded time for the client to close too; then it is simply dropped.
    async fn farewell(&mut self, closing: Option<Reason>) {
        let Some(reason) = closing else { return };
        if self.conversation.leaves_by_itself(reason) {
            self.until_it_closes().await;
        }
        self.first.push_back(Outgoing::Close(reason));
        self.until_it_closes().await;
        self.transport = None;
    }

    async fn until_it_closes(&mut self) {
        let farewell = std::future::poll_fn(|cx| self.poll_farewell(cx));
        let _ = tokio::time::timeout(CLOSE_PATIENCE, farewell).await;
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Err(Broken)) = self.poll_write(cx) {
            return Poll::Ready(());
        }
        let Some(transport) = &mut self.transport else {
            return Poll::Ready(());
        };
        loop {
            match std::task::ready!(transport.poll_incoming(cx)) {
                Incoming::PeerClosed | Incoming::Broken | Incoming::Violation(_) => return Poll::Ready(()),
                Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping | Incoming::Pong => {}
            }
        }
    }
}

/// The session that this socket must give up, whatever happens to its task.
struct Owned {
    engine: Arc<Engine>,
    line: Option<Line>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            if self.engine.tasks.is_stopping() {
                // The lease ends with the process, and whoever sweeps it gives the session up.
                return;
            }
            let engine = self.engine.clone();
            let (held, ended) = (line.held(), engine.deps.clock.now());
            tracing::error!(
                session.id = held.session_id.0,
                "a socket's task ended without giving its session up"
            );
            self.engine.tasks.start_to_finish(async move {
                release(&engine, held, ended).await;
                drop(line);
            });
        }
    }
}
