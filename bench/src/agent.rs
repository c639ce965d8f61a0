//! One client of the native door, as lean as it can be: handshake, `connect_request`, and then it counts what it is
//! sent. One process reads thousands of them, so nothing is parsed that need not be, and all share one read buffer.

use crate::{
    frame::{Opcode, Scanner, masked_pong, masked_text},
    handshake,
    tally::{Counted, Tally},
    tick::Tick,
};
use anyhow::{Context as _, Result, bail};
use presence_api::frames::{ClientFrame, ConnectRequest};
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

/// Where to connect, and with what. One token serves all: agents differ by label.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) token: Arc<str>,
}

/// Who connects, and to which classroom.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) label: String,
    pub(crate) classroom: String,
}

#[derive(Debug)]
pub(crate) struct Agent {
    tcp: TcpStream,
    scanner: Scanner,
    ear: Ear,
    tally: Arc<Tally>,
}

/// What this agent has understood.
#[derive(Debug, Default)]
struct Ear {
    joined: bool,
    /// Why nothing more comes.
    ended: Option<String>,
    pong: Option<Vec<u8>>,
    next: Option<u64>,
}

impl Agent {
    /// Returns once `connect_success` is there.
    pub(crate) async fn connect(target: &Target, guest: &Guest, tally: &Arc<Tally>) -> Result<Self> {
        let tcp = handshake::open(target.address).await?;
        let mut agent = Self { tcp, scanner: Scanner::default(), ear: Ear::default(), tally: tally.clone() };
        let request = ClientFrame::ConnectRequest(ConnectRequest {
            agent_label: guest.label.clone(),
            classroom_id: guest.classroom.clone(),
            token: target.token.to_string(),
            resume: None,
        });
        let request = serde_json::to_vec(&request).context("write the connect request")?;
        agent.tcp.write_all(&masked_text(&request)).await.context("send the connect request")?;
        while !agent.ear.joined {
            if let Some(why) = agent.ear.ended {
                bail!("no connect_success: {why}");
            }
            poll_fn(|cx| agent.poll_read(cx)).await;
        }
        Ok(agent)
    }

    /// Reads until the socket ends; says why it did.
    pub(crate) async fn run(mut self) -> String {
        loop {
            if let Some(why) = self.ear.ended {
                return why;
            }
            poll_fn(|cx| self.poll_read(cx)).await;
        }
    }

    /// One read, and what was in it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut tally = self.tally.lock();
        let tally = &mut *tally;
        let mut buffer = ReadBuf::new(&mut tally.buffer);
        let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buffer));
        let now = tally.clock.now();
        match read {
            Ok(()) if buffer.filled().is_empty() => self.ear.end("closed without a word".into()),
            Ok(()) => {
                let heard = |opcode, payload: &[u8]| self.ear.hear(opcode, payload, &mut tally.counted, now);
                if let Err(broken) = self.scanner.feed(buffer.filled(), heard) {
                    self.ear.end(broken.to_string());
                }
            }
            Err(error) => self.ear.end(error.to_string()),
        }
        if let Some(pong) = self.ear.pong.take() {
            // So few bytes are sent that they always fit.
            let sent = self.tcp.try_write(&pong);
            if !sent.is_ok_and(|sent| sent == pong.len()) {
                self.ear.end("could not send a pong".into());
            }
        }
        Poll::Ready(())
    }
}

impl Ear {
    fn hear(&mut self, opcode: Opcode, payload: &[u8], counted: &mut Counted, now: u64) {
        counted.frames += 1;
        match opcode {
            Opcode::Text => self.hear_text(payload, counted, now),
            Opcode::Ping => self.pong = Some(masked_pong(payload)),
            Opcode::Close => self.end(close_reason(payload)),
            Opcode::Binary | Opcode::Pong => {}
        }
    }

    fn hear_text(&mut self, text: &[u8], counted: &mut Counted, now: u64) {
        if let Some(tick) = Tick::find(text) {
            let in_order = self.next.is_none_or(|next| next == tick.number);
            self.next = Some(tick.number + 1);
            counted.deliver(now.saturating_sub(tick.at), in_order);
        } else if text.starts_with(br#"{"type":"connect_success""#) {
            self.joined = true;
        } else if text.starts_with(br#"{"type":"resync""#) {
            counted.disorder += 1;
        } else if text.starts_with(br#"{"type":"#) {
            self.end(String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned());
        }
    }

    /// The first reason is the one that matters.
    fn end(&mut self, why: String) {
        self.ended.get_or_insert(why);
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

    fn frame(number: u64) -> Vec<u8> {
        let payload = Tick { number, at: 5 }.payload();
        format!(
            r#"{{"id":{{"entity_type":"bench","operation":"tick","sequence_id":1}},"payload":{payload}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn deliveries_are_timed_and_a_missing_one_is_disorder() {
        let (mut ear, mut counted) = (Ear::default(), Counted::default());
        for number in [4, 5, 7, 8] {
            ear.hear(Opcode::Text, &frame(number), &mut counted, 12);
        }
        assert_eq!(counted.latencies, [7, 7, 7, 7]);
        assert_eq!((counted.frames, counted.disorder), (4, 1));
        assert!(ear.ended.is_none());
    }

    #[test]
    fn pings_are_answered_and_the_first_reason_to_end_is_kept() {
        let (mut ear, mut counted) = (Ear::default(), Counted::default());
        ear.hear(Opcode::Ping, b"x", &mut counted, 0);
        assert_eq!(ear.pong, Some(masked_pong(b"x")));
        ear.hear(Opcode::Text, br#"{"type":"recoverable_session_error"}"#, &mut counted, 0);
        ear.hear(Opcode::Close, &[0x0f, 0xa1, b'x'], &mut counted, 0);
        assert_eq!(ear.ended.as_deref(), Some(r#"{"type":"recoverable_session_error"}"#));
        assert_eq!(close_reason(&[0x0f, 0xa1, b'x']), "close 4001 x");
    }
}
