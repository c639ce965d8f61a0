//! A WebSocket client made by hand, for everything that a well-behaved one would not send.

use crate::wait;
use anyhow::{Context, Result, bail, ensure};
use presence_api::frames::{ClientFrame, ConnectRequest};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// First bytes of a frame: FIN and the opcode.
pub const TEXT: u8 = 0x81;
pub const TEXT_TO_BE_CONTINUED: u8 = 0x01;
pub const CONTINUED: u8 = 0x00;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;

/// In the place of a short length: it follows in so many bytes.
const TWO_BYTES: u8 = 0x7e;
const EIGHT_BYTES: u8 = 0x7f;

#[derive(Debug)]
pub struct Raw {
    tcp: TcpStream,
}

/// How a server ended a socket: its last error frame, and the close code, where they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub kind: Option<String>,
    pub code: Option<u16>,
}

/// A frame with a mask, as clients must send it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = header(first, payload.len(), 0x80);
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The same without a mask, as clients must not.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn header(first: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < TWO_BYTES => header.push(mask_bit | short),
        (_, Ok(medium)) => {
            header.push(mask_bit | TWO_BYTES);
            header.extend(medium.to_be_bytes());
        }
        _ => {
            header.push(mask_bit | EIGHT_BYTES);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

impl Raw {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let opening = async {
            let socket = TcpSocket::new_v4().context("make a socket")?;
            // Small, so that a client that does not read is soon noticed.
            socket.set_recv_buffer_size(16 * 1024).context("set SO_RCVBUF")?;
            let mut tcp = socket.connect(to).await.context("connect")?;
            tcp.set_nodelay(true).context("set TCP_NODELAY")?;
            let request = format!(
                "GET /ws HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            tcp.write_all(request.as_bytes()).await.context("send the handshake")?;
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.context("read the handshake")?);
            }
            ensure!(head.starts_with(b"HTTP/1.1 101"), "refused: {}", String::from_utf8_lossy(&head));
            Ok(Self { tcp })
        };
        wait::within("the raw WebSocket handshake", opening).await?
    }

    /// Connects, and reads until it has a session.
    pub async fn connect(&mut self, request: &ConnectRequest) -> Result<()> {
        let frame = serde_json::to_vec(&ClientFrame::ConnectRequest(request.clone()))?;
        self.write(&masked(TEXT, &frame)).await?;
        let (first, payload) = wait::within("the answer to a connect", self.read()).await??;
        let answer: Value = serde_json::from_slice(&payload).context("an answer is JSON")?;
        ensure!(first == TEXT && answer["type"] == "connect_success", "expected success: {answer}");
        Ok(())
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        wait::within("the server to read", self.tcp.write_all(bytes)).await?.context("write")
    }

    /// Writes until the server does not want more, or all is written.
    pub async fn write_as_long_as_it_goes(&mut self, chunks: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        let (mut reading, mut writing) = self.tcp.split();
        let mut byte = [0];
        let writing = async {
            for chunk in chunks {
                if writing.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        };
        let work = async {
            tokio::select! {
                // The server has something to say.
                _ = reading.peek(&mut byte) => {}
                () = writing => {}
            }
        };
        wait::within("the server to read, or to answer", work).await
    }

    /// The next frame of the server: its first byte and its payload.
    async fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let first = self.tcp.read_u8().await.context("read a frame")?;
        let length = match self.tcp.read_u8().await.context("read a frame")? {
            TWO_BYTES => usize::from(self.tcp.read_u16().await?),
            EIGHT_BYTES => usize::try_from(self.tcp.read_u64().await?)?,
            short if short < TWO_BYTES => usize::from(short),
            _ => bail!("the server masked a frame"),
        };
        let mut payload = vec![0; length];
        self.tcp.read_exact(&mut payload).await.context("read a frame's payload")?;
        Ok((first, payload))
    }

    /// Reads to the end of the connection. Pings stay unanswered.
    pub async fn ending(&mut self) -> Result<Ending> {
        wait::within("the server to close", async {
            let mut ending = Ending { kind: None, code: None };
            while let Ok((first, payload)) = self.read().await {
                match first {
                    TEXT => {
                        let frame: Value = serde_json::from_slice(&payload).context("a frame is JSON")?;
                        let is_error =
                            frame["type"].as_str().is_some_and(|kind| kind.ends_with("_session_error"));
                        ending.kind =
                            is_error.then(|| frame["payload"]["type"].as_str().map(str::to_owned)).flatten();
                    }
                    CLOSE => ending.code = payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
                    _ => {}
                }
            }
            Ok(ending)
        })
        .await?
    }

    /// The server closes with this code; what it said before is returned.
    pub async fn expect_close(&mut self, code: u16) -> Result<Option<String>> {
        let ending = self.ending().await?;
        ensure!(ending.code == Some(code), "expected a close with {code}: {ending:?}");
        Ok(ending.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_rfc_6455_has_them() {
        assert_eq!(unmasked(TEXT, b"a"), [0x81, 1, b'a']);
        assert_eq!(unmasked(TEXT, &[0; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(unmasked(TEXT, &vec![0; 65_536])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(masked(PING, b"\x11")[1..], [0x81, 0x11, 0x22, 0x33, 0x44, 0]);
    }
}
