//! An agent in a classroom: a socket whose connect succeeded, and what it has heard since.

use crate::{Server, Socket, socket::Event, tokens::agent_id};
use anyhow::{Result, ensure};
use presence_api::frames::{Connected, Resume};

#[derive(Debug)]
pub struct Agent {
    pub socket: Socket,
    pub id: String,
    pub welcome: Connected,
    /// The position of the last event that it heard, or of its welcome.
    pub seq: u64,
}

impl Agent {
    pub(crate) fn new(account: &str, socket: Socket, welcome: Connected) -> Self {
        Self { socket, id: agent_id(account), seq: welcome.seq(), welcome }
    }

    pub fn session_id(&self) -> i64 {
        self.welcome.session_id
    }

    /// What to come back with.
    pub fn resume(&self) -> Resume {
        Resume { session_id: self.session_id(), last_seq: self.seq }
    }

    /// The next event, of whatever service.
    pub async fn expect_event(&mut self) -> Result<Event> {
        let event = self.socket.expect_event().await?;
        self.heard(&event)?;
        Ok(event)
    }

    /// The next frame says that this account entered.
    pub async fn expect_entered(&mut self, account: &str) -> Result<Event> {
        let event = self.socket.expect("entered", &agent_id(account)).await?;
        self.heard(&event)?;
        Ok(event)
    }

    /// The next frame says that this account left.
    pub async fn expect_left(&mut self, account: &str) -> Result<Event> {
        let event = self.socket.expect("left", &agent_id(account)).await?;
        self.heard(&event)?;
        Ok(event)
    }

    /// Nothing was said since the last frame: a marker enters, and is the first thing heard; then it leaves.
    pub async fn expect_quiet(&mut self, server: &Server, classroom: &str) -> Result<()> {
        self.expect_quiet_but_for(server, classroom, "marker").await
    }

    async fn expect_quiet_but_for(&mut self, server: &Server, classroom: &str, marker: &str) -> Result<()> {
        let agent = server.connect(marker, classroom).await?;
        self.expect_entered(marker).await?;
        agent.close().await?;
        self.expect_left(marker).await?;
        Ok(())
    }

    fn heard(&mut self, event: &Event) -> Result<()> {
        ensure!(event.seq > self.seq, "{} heard position {} after {}", self.id, event.seq, self.seq);
        self.seq = event.seq;
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        self.socket.close().await
    }

    pub async fn vanish(self) {
        self.socket.vanish().await;
    }
}

trait Position {
    fn seq(&self) -> u64;
}

impl Position for Connected {
    fn seq(&self) -> u64 {
        self.snapshot.seq
    }
}
