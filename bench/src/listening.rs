//! The reading half of a client, whichever door it speaks to: one process reads thousands of them, so nothing is parsed
//! that need not be, and all share one read buffer.

use crate::{
    frame::{Opcode, Scanner, masked_pong},
    tally::{Counted, Tally},
};
use anyhow::{Context as _, Result, bail};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

/// What a client makes of what it hears.
pub(crate) trait Ear {
    fn hear_text(&mut self, text: &[u8], counted: &mut Counted, now: u64, out: &mut Outcome);
}

/// What there is to be done about what was heard.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Frames to be sent.
    reply: Vec<u8>,
    /// Why nothing more comes.
    ended: Option<String>,
}

impl Outcome {
    pub(crate) fn reply(&mut self, frame: &[u8]) {
        self.reply.extend_from_slice(frame);
    }

    /// The first reason is the one that matters.
    pub(crate) fn end(&mut self, why: String) {
        self.ended.get_or_insert(why);
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&[u8], Option<&str>) {
        (&self.reply, self.ended.as_deref())
    }
}

#[derive(Debug)]
pub(crate) struct Listener<E> {
    tcp: TcpStream,
    scanner: Scanner,
    outcome: Outcome,
    tally: Arc<Tally>,
    pub(crate) ear: E,
}

impl<E: Ear> Listener<E> {
    /// `early`: what came with the answer to the handshake.
    pub(crate) fn new(tcp: TcpStream, early: &[u8], ear: E, tally: &Arc<Tally>) -> Self {
        let mut listener =
            Self { tcp, scanner: Scanner::default(), outcome: Outcome::default(), tally: tally.clone(), ear };
        if !early.is_empty() {
            let mut tally = tally.lock();
            let now = tally.clock.now();
            listener.hear(early, &mut tally.counted, now);
        }
        listener
    }

    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.tcp.write_all(frame).await.context("send a frame")
    }

    /// Reads until the ear has heard it.
    pub(crate) async fn until(&mut self, what: &str, heard: impl Fn(&E) -> bool) -> Result<()> {
        while !heard(&self.ear) {
            if let Some(why) = &self.outcome.ended {
                bail!("no {what}: {why}");
            }
            poll_fn(|cx| self.poll_read(cx)).await;
        }
        Ok(())
    }

    /// Reads until the socket ends; says why it did.
    pub(crate) async fn run(mut self) -> String {
        loop {
            if let Some(why) = self.outcome.ended {
                return why;
            }
            poll_fn(|cx| self.poll_read(cx)).await;
        }
    }

    /// One read, and what was in it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.tally.clone();
        let mut tally = shared.lock();
        let tally = &mut *tally;
        let mut buffer = ReadBuf::new(&mut tally.buffer);
        let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buffer));
        let now = tally.clock.now();
        match read {
            Ok(()) if buffer.filled().is_empty() => self.outcome.end("closed without a word".into()),
            Ok(()) => self.hear(buffer.filled(), &mut tally.counted, now),
            Err(error) => self.outcome.end(error.to_string()),
        }
        Poll::Ready(())
    }

    fn hear(&mut self, bytes: &[u8], counted: &mut Counted, now: u64) {
        let Self { scanner, ear, outcome, .. } = self;
        let heard = |opcode, payload: &[u8]| {
            counted.frames += 1;
            match opcode {
                Opcode::Text => ear.hear_text(payload, counted, now, outcome),
                Opcode::Ping => outcome.reply(&masked_pong(payload)),
                Opcode::Close => outcome.end(close_reason(payload)),
                Opcode::Binary | Opcode::Pong => {}
            }
        };
        if let Err(broken) = scanner.feed(bytes, heard) {
            self.outcome.end(broken.to_string());
        }
        self.answer();
    }

    fn answer(&mut self) {
        let reply = std::mem::take(&mut self.outcome.reply);
        if reply.is_empty() {
            return;
        }
        // So few bytes are sent that they always fit.
        let sent = self.tcp.try_write(&reply);
        if !sent.is_ok_and(|sent| sent == reply.len()) {
            self.outcome.end("could not send an answer".into());
        }
    }
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, reason @ ..] => {
            format!("close {} {}", u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(reason))
        }
        _ => "close without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_end_is_kept() {
        let mut outcome = Outcome::default();
        outcome.end("one".into());
        outcome.end("two".into());
        assert_eq!(outcome.parts(), (&[][..], Some("one")));
        assert_eq!(close_reason(&[0x0f, 0xa1, b'x']), "close 4001 x");
        assert_eq!(close_reason(&[]), "close without a code");
    }
}
