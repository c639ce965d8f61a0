//! What waits for one socket: frames, bounded in bytes, and commands, which no queue of frames holds up.

use crate::event::Tongue;
use bytes::Bytes;
use presence_core::time::Time;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

/// What a socket may be told besides what it is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Another socket owns the session.
    Replaced,
    /// The store no longer knows the session as this socket's.
    Disowned,
    /// Somebody with the right to it ended the session.
    Evicted,
    /// Let go: tell the client now when to connect elsewhere, and close at `until` at the latest.
    Drain { until: Time, reconnect_after_ms: u64 },
    /// Ask the client to connect elsewhere, and leave it to it.
    Shed { reconnect_after_ms: u64 },
    /// Let go no longer: whoever was told may stay.
    Stay,
    /// The queue was full and has been thrown away: the client reads too slowly.
    Overflowed,
}

/// One socket's mailbox. Filled by rooms, emptied by the socket's own task.
#[derive(Debug)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    limit: usize,
    tongue: Tongue,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// At most one of each kind.
    commands: Vec<Command>,
    overflowed: bool,
    /// The socket is gone.
    outlived: bool,
    waker: Option<Waker>,
}

/// What a queued frame costs besides its bytes, so that a flood of empty frames is bounded too.
const FRAME_COST: usize = 64;

impl Mailbox {
    /// A mailbox that holds at most `limit` bytes of frames, of a native socket.
    pub fn new(limit: usize) -> Self {
        Self::of(Tongue::Native, limit)
    }

    /// The same, of a socket that speaks `tongue`.
    pub fn of(tongue: Tongue, limit: usize) -> Self {
        Self { inner: Mutex::default(), limit, tongue }
    }

    /// In which words its socket hears of events.
    pub const fn tongue(&self) -> Tongue {
        self.tongue
    }

    /// Queues a frame. When it does not fit, all that waits is dropped and the socket is told: it will be closed as a
    /// slow consumer, and its client reads what it missed when it resumes. Returns whether it was queued.
    pub fn push(&self, frame: Bytes) -> bool {
        let mut inner = self.lock();
        if inner.overflowed {
            return false;
        }
        let cost = frame.len() + FRAME_COST;
        let fits = inner.bytes + cost <= self.limit;
        if fits {
            inner.bytes += cost;
            inner.frames.push_back(frame);
        } else {
            inner.overflowed = true;
            inner.bytes = 0;
            inner.frames = VecDeque::new();
            inner.commands.push(Command::Overflowed);
        }
        wake(inner);
        fits
    }

    /// Gives a command; it takes the place of one of the same kind that still waits, and comes last.
    pub fn command(&self, command: Command) {
        let mut inner = self.lock();
        let differs = |c: &Command| std::mem::discriminant(c) != std::mem::discriminant(&command);
        inner.commands.retain(differs);
        inner.commands.push(command);
        wake(inner);
    }

    /// The socket is gone, and its session waits for its agent: nothing is left to be sent, and of the commands only
    /// those still matter that say whose the session is.
    pub fn outlive_socket(&self) {
        let mut inner = self.lock();
        inner.frames = VecDeque::new();
        inner.bytes = 0;
        let is_of_session =
            |c: &Command| matches!(c, Command::Replaced | Command::Disowned | Command::Evicted);
        inner.commands.retain(is_of_session);
        inner.outlived = true;
    }

    /// Whether there is somebody to be sent something.
    pub fn has_socket(&self) -> bool {
        !self.lock().outlived
    }

    /// The next command; no queue of frames holds it up.
    pub fn poll_command(&self, cx: &Context<'_>) -> Poll<Command> {
        self.poll(cx, |inner| (!inner.commands.is_empty()).then(|| inner.commands.remove(0)))
    }

    /// The next frame.
    pub fn poll_frame(&self, cx: &Context<'_>) -> Poll<Bytes> {
        self.poll(cx, |inner| {
            let frame = inner.frames.pop_front()?;
            inner.bytes -= frame.len() + FRAME_COST;
            if inner.frames.is_empty() {
                // An idle socket keeps no queue.
                inner.frames = VecDeque::new();
            }
            Some(frame)
        })
    }

    fn poll<T>(&self, cx: &Context<'_>, take: impl FnOnce(&mut Inner) -> Option<T>) -> Poll<T> {
        let mut inner = self.lock();
        if let Some(taken) = take(&mut inner) {
            return Poll::Ready(taken);
        }
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Wakes the socket after the lock is released, so that it does not wake only to wait for it.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn frames_leave_in_order() {
        let mailbox = Mailbox::new(1024);
        assert!(mailbox.push("a".into()) && mailbox.push("b".into()));
        assert_eq!(mailbox.poll_frame(&cx()), Poll::Ready("a".into()));
        assert_eq!(mailbox.poll_frame(&cx()), Poll::Ready("b".into()));
        assert_eq!(mailbox.poll_frame(&cx()), Poll::Pending);
    }

    #[test]
    fn a_full_mailbox_drops_everything_and_says_so_once() {
        let mailbox = Mailbox::new(3 * (FRAME_COST + 1));
        for _ in 0..3 {
            assert!(mailbox.push("x".into()));
        }
        assert!(!mailbox.push("x".into()) && !mailbox.push("x".into()));
        assert_eq!(mailbox.poll_command(&cx()), Poll::Ready(Command::Overflowed));
        assert_eq!(mailbox.poll_command(&cx()), Poll::Pending);
        assert_eq!(mailbox.poll_frame(&cx()), Poll::Pending);
    }

    #[test]
    fn what_was_read_makes_room_again() {
        let mailbox = Mailbox::new(FRAME_COST + 1);
        for _ in 0..100 {
            assert!(mailbox.push("x".into()));
            assert!(mailbox.poll_frame(&cx()).is_ready());
        }
    }

    #[test]
    fn what_outlives_its_socket_is_whose_the_session_is() {
        let mailbox = Mailbox::new(1024);
        mailbox.push("x".into());
        mailbox.command(Command::Drain { until: Time(7), reconnect_after_ms: 0 });
        mailbox.command(Command::Evicted);
        assert!(mailbox.has_socket());
        mailbox.outlive_socket();
        assert!(!mailbox.has_socket());
        assert_eq!(mailbox.poll_frame(&cx()), Poll::Pending);
        assert_eq!(mailbox.poll_command(&cx()), Poll::Ready(Command::Evicted));
        mailbox.command(Command::Replaced);
        assert_eq!(mailbox.poll_command(&cx()), Poll::Ready(Command::Replaced));
        assert_eq!(mailbox.poll_command(&cx()), Poll::Pending);
    }

    #[test]
    fn a_repeated_command_waits_once_and_the_last_one_counts() {
        let drain = |until| Command::Drain { until: Time(until), reconnect_after_ms: 0 };
        let (first, last) = (drain(3), drain(9));
        let mailbox = Mailbox::new(0);
        for command in [first, Command::Stay, last] {
            mailbox.command(command);
        }
        assert_eq!(mailbox.poll_command(&cx()), Poll::Ready(Command::Stay));
        assert_eq!(mailbox.poll_command(&cx()), Poll::Ready(last));
        assert_eq!(mailbox.poll_command(&cx()), Poll::Pending);
    }
}
