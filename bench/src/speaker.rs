//! Somebody who speaks in a room of another Socket.IO server: a client of it, which asks for an event to be told to all.

use crate::{
    app,
    frame::{Opcode, Scanner, masked_text},
    handshake,
    tick::{self, Tick},
};
use anyhow::{Context, Result, bail};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const BUFFER: usize = 4 * 1024;

#[derive(Debug)]
pub(crate) struct Speaker {
    tcp: TcpStream,
    scanner: Scanner,
    room: String,
    /// It was let in.
    connected: bool,
}

impl Speaker {
    pub(crate) async fn connect(address: SocketAddr, token: &str, room: &str) -> Result<Self> {
        let (tcp, early) = handshake::open(address, &app::path("teacher", token)).await?;
        let mut speaker = Self { tcp, scanner: Scanner::default(), room: room.to_owned(), connected: false };
        speaker.hear(&early).await?;
        speaker.tcp.write_all(&masked_text(b"40")).await.context("ask to be let in")?;
        let let_in = async {
            while !speaker.connected {
                speaker.listen().await?;
            }
            anyhow::Ok(())
        };
        timeout(CONNECT_WITHIN, let_in).await.context("the speaker was not let in")??;
        Ok(speaker)
    }

    /// One read. Pings are answered.
    pub(crate) async fn listen(&mut self) -> Result<()> {
        let mut bytes = [0; BUFFER];
        let read = self.tcp.read(&mut bytes).await.context("listen")?;
        if read == 0 {
            bail!("the server closed the speaker's connection");
        }
        self.hear(&bytes[..read]).await
    }

    /// Asks for a tick to be told to the room, in the words of presence's own events.
    pub(crate) async fn say(&mut self, tick: Tick) -> Result<()> {
        let (payload, number, room) = (tick.payload(), tick.number, &self.room);
        let packet = format!(
            r#"42["say","{room}",{{"id":{{"entity_type":"{}","operation":"{}","sequence_id":{number}}},"payload":{payload},"seq":{number}}}]"#,
            tick::ENTITY,
            tick::OPERATION,
        );
        self.tcp.write_all(&masked_text(packet.as_bytes())).await.context("say a tick")?;
        // A burst may be longer than the server waits for a pong.
        let mut bytes = [0; BUFFER];
        match self.tcp.try_read(&mut bytes) {
            Ok(0) => bail!("the server closed the speaker's connection"),
            Ok(read) => self.hear(&bytes[..read]).await,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("listen"),
        }
    }

    async fn hear(&mut self, bytes: &[u8]) -> Result<()> {
        let (mut pings, mut connected) = (0_usize, self.connected);
        let heard = |opcode, text: &[u8]| {
            pings += usize::from(opcode == Opcode::Text && text == b"2");
            connected |= opcode == Opcode::Text && text.starts_with(b"40");
        };
        self.scanner.feed(bytes, heard)?;
        self.connected = connected;
        for _ in 0..pings {
            self.tcp.write_all(&masked_text(b"3")).await.context("answer a ping")?;
        }
        Ok(())
    }
}
