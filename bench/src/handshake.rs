//! The client's side of the WebSocket handshake, as lean as it can be: one write, one answer, no library.

use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The key and answer of RFC 6455's own example: nothing here needs a random one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const END: &[u8] = b"\r\n\r\n";
const LONGEST_ANSWER: usize = 4096;

/// A connection that speaks frames from here on, and what the server said with its answer.
pub(crate) async fn open(address: SocketAddr, path: &str) -> Result<(TcpStream, Vec<u8>)> {
    let mut tcp = TcpStream::connect(address).await.context("connect")?;
    tcp.set_nodelay(true).context("set TCP_NODELAY")?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.context("send the handshake")?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = answer.windows(END.len()).position(|window| window == END) {
            break at + END.len();
        }
        let read = tcp.read_buf(&mut answer).await.context("read the handshake's answer")?;
        if read == 0 || answer.len() > LONGEST_ANSWER {
            break answer.len();
        }
    };
    let early = answer.split_off(end);
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("HTTP/1.1 101 ") || !answer.contains(ACCEPT) {
        bail!("no WebSocket: {}", answer.lines().next().unwrap_or("no answer"));
    }
    Ok((tcp, early))
}
