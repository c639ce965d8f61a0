//! A running server, as its clients reach it.

use crate::{
    Agent, Raw, Socket,
    log::Log,
    tokens::{Tokens, agent_id, request},
    wait,
};
use anyhow::{Context, Result};
use presence_api::frames::{ConnectRequest, Resume};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc};

#[derive(Debug, Clone)]
pub struct Server {
    pub public: SocketAddr,
    pub internal: SocketAddr,
    pub metrics: SocketAddr,
    pub log: Log,
    tokens: Arc<Tokens>,
    pub(crate) http: reqwest::Client,
    /// Which of the stack's processes it is.
    pub(crate) index: usize,
}

impl Server {
    /// `listening` is the line that it logs once it does.
    pub(crate) fn new(listening: &Value, log: Log, tokens: Arc<Tokens>, index: usize) -> Result<Self> {
        let address = |port: &str| -> Result<SocketAddr> {
            let text =
                listening[port].as_str().with_context(|| format!("`listening` names no {port} port"))?;
            text.parse().with_context(|| format!("{port} is no address: {text}"))
        };
        Ok(Self {
            public: address("public")?,
            internal: address("internal")?,
            metrics: address("metrics")?,
            log,
            tokens,
            http: reqwest::Client::new(),
            index,
        })
    }

    /// Waits until a load balancer would send somebody here.
    pub async fn expect_ready(&self) -> Result<()> {
        wait::eventually("the server to be ready", async || {
            let ready = self.health("/readyz").await?;
            anyhow::ensure!(ready.status == 200, "{ready:?}");
            Ok(())
        })
        .await
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub fn token(&self, account: &str) -> Result<String> {
        self.tokens.of(account)
    }

    /// The account enters the classroom.
    pub async fn connect(&self, account: &str, classroom: &str) -> Result<Agent> {
        self.connect_as(account, &request(classroom, &self.token(account)?)).await
    }

    /// The account comes back to the classroom.
    pub async fn resume(&self, account: &str, classroom: &str, resume: Resume) -> Result<Agent> {
        let request = ConnectRequest { resume: Some(resume), ..request(classroom, &self.token(account)?) };
        self.connect_as(account, &request).await
    }

    pub async fn connect_as(&self, account: &str, request: &ConnectRequest) -> Result<Agent> {
        let mut socket = Socket::open(account, self.public).await?;
        socket.ask(request).await?;
        let welcome = socket.expect_connected().await?;
        Ok(Agent::new(account, socket, welcome))
    }

    /// A socket that has not said anything yet.
    pub async fn knock(&self, who: &str) -> Result<Socket> {
        Socket::open(who, self.public).await
    }

    /// A client that does as it is told, frame by frame.
    pub async fn knock_raw(&self) -> Result<Raw> {
        Raw::open(self.public).await
    }

    /// The same, with a session.
    pub async fn connect_raw(&self, account: &str, classroom: &str) -> Result<Raw> {
        let mut raw = self.knock_raw().await?;
        raw.connect(&request(classroom, &self.token(account)?)).await?;
        Ok(raw)
    }

    /// Who is present, by agent id.
    pub async fn present(&self, classroom: &str) -> Result<Vec<String>> {
        Ok(self.agents(classroom, "").await?.into_iter().map(|agent| agent.agent_id).collect())
    }

    /// Waits until exactly these accounts are present, whatever their order.
    pub async fn expect_present(&self, classroom: &str, accounts: &[&str]) -> Result<()> {
        let mut expected: Vec<_> = accounts.iter().map(|account| agent_id(account)).collect();
        expected.sort();
        wait::eventually("the right agents to be present", async || {
            let mut present = self.present(classroom).await?;
            present.sort();
            anyhow::ensure!(present == expected, "present: {present:?}, expected: {expected:?}");
            Ok(())
        })
        .await
    }

    /// One whole number of `/metrics`, named as it stands there: `presence_closes_total{reason="normal"}`.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let text = self.metrics_text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.with_context(|| format!("there is no metric {name}"))?;
        value.trim().parse().with_context(|| format!("{name} is {value}"))
    }

    /// Waits until a metric is what it should be.
    pub async fn expect_metric(&self, name: &str, expected: u64) -> Result<()> {
        wait::eventually("a metric to be right", async || {
            let value = self.metric(name).await?;
            anyhow::ensure!(value == expected, "{name} is {value}, expected {expected}");
            Ok(())
        })
        .await
    }
}
