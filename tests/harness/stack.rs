//! What a scenario starts servers on: a folder, a store and a bus, alone or in full.

use crate::{
    database::{Database, address, set_host},
    environment,
    link::Link,
    log::Log,
    process::{self, Process, Settings},
    publisher::Publisher,
    server::Server,
    tokens::Tokens,
    wait,
};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::{fmt::Display, sync::Arc};
use tempfile::TempDir;

/// What the internal API asks of its callers.
pub const INTERNAL_SECRET: &str = "internal-secret-of-the-tests";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SQLite, and a bus inside the process.
    Alone,
    /// PostgreSQL and NATS.
    Full,
}

/// What a server says when it listens, unless it ends before.
async fn listening(process: &mut Process) -> Result<Value> {
    wait::eventually("the server to listen", async || match process.log.find("listening") {
        Ok(entry) => Ok(Ok(entry)),
        Err(not_yet) => match process.ended()? {
            Some(status) => Ok(Err(anyhow!("the server ended at its start: {status}"))),
            None => Err(not_yet),
        },
    })
    .await?
}

#[derive(Debug)]
pub struct Stack {
    pub kind: Kind,
    /// What no other test and no other run uses.
    id: String,
    folder: TempDir,
    database: Option<Database>,
    settings: Settings,
    tokens: Arc<Tokens>,
    processes: Vec<Process>,
    /// Kept whole to the end of the servers behind them.
    links: Vec<Link>,
    logs: Vec<Log>,
    expected: Vec<String>,
}

impl Stack {
    pub fn new(kind: Kind) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("presence-service-").tempdir().context("make a folder")?;
        let data_dir = folder.path().join("data");
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let mut stack = Self {
            kind,
            database: None,
            settings: Settings::new(),
            tokens: Arc::new(Tokens::new(&data_dir)),
            processes: vec![],
            links: vec![],
            logs: vec![],
            expected: vec![],
            folder,
            id,
        };
        stack.set("data_dir", data_dir.display());
        for port in ["public.addr", "internal.addr", "metrics.addr"] {
            stack.set(port, "127.0.0.1:0");
        }
        stack.set("internal.secret", INTERNAL_SECRET);
        stack.set("log.format", "json");
        stack.set("log.level", "info,presence=debug");
        if kind == Kind::Full {
            let database = Database::create(&format!("presence_test_{}", stack.id))?;
            stack.set("store.url", database.url());
            stack.set("bus.url", environment::nats()?);
            stack.database = Some(database);
            stack.migrate()?;
            stack.begin_sessions_apart()?;
        }
        Ok(stack)
    }

    /// Sets `section.key` for the servers that start from here on.
    pub fn set(&mut self, key: &str, value: impl Display) {
        self.settings.insert(key.to_owned(), format!("{value}"));
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder().join("data")
    }

    /// Keeps a link to the end of the servers behind it.
    pub(crate) fn keep(&mut self, link: &Link) {
        self.links.push(link.clone());
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub fn database(&self) -> Result<&Database> {
        self.database.as_ref().context("there is a database of PostgreSQL in a full stack only")
    }

    /// A warning or error with this in its message is part of the scenario.
    pub fn expect_in_log(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    /// A classroom that no other test is in.
    pub fn classroom(&self, name: &str) -> String {
        format!("{name}-{}", self.id)
    }

    pub async fn publisher(&self) -> Result<Publisher> {
        Publisher::connect(&environment::nats()?).await
    }

    /// Puts a link between the servers that start from here on and the database.
    pub async fn link_database(&mut self) -> Result<Link> {
        let database = self.database()?;
        let link = Link::to(database.address()?).await?;
        let url = database.url_by(link.address)?;
        self.set("store.url", url);
        self.links.push(link.clone());
        Ok(link)
    }

    /// Puts a link between the servers that start from here on and NATS.
    pub async fn link_bus(&mut self) -> Result<Link> {
        let mut url = environment::nats()?;
        let link = Link::to(address(&url)?).await?;
        set_host(&mut url, link.address)?;
        self.set("bus.url", url);
        self.links.push(link.clone());
        Ok(link)
    }

    /// A stream takes an event once per session id, and the tests' databases share a stream: their ids must not meet.
    fn begin_sessions_apart(&self) -> Result<()> {
        // 45 bits: JavaScript counts them exactly, and two tests hardly ever meet.
        let first = (uuid::Uuid::new_v4().as_u128() & ((1 << 45) - 1)) + 1;
        let restart = format!("ALTER SEQUENCE agent_session_id_seq RESTART WITH {first}");
        self.database()?.query(&restart).map(drop)
    }

    fn migrate(&self) -> Result<()> {
        let output = process::output(&self.settings, &["migrate"])?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "presence migrate: {}\n{complaint}", output.status);
        Ok(())
    }

    /// Starts a server, and returns once it is ready.
    pub async fn start(&mut self) -> Result<Server> {
        let index = self.processes.len();
        let name = format!("presence-{index}");
        let mut process = Process::start(self.folder.path(), &name, &self.settings, &["serve"])?;
        let log = process.log.clone();
        self.logs.push(log.clone());
        let listening = listening(&mut process).await?;
        self.processes.push(process);
        if self.kind == Kind::Full {
            // Whoever connects before would be brought up to date later, by a resync.
            wait::eventually("the server to reach NATS", async || log.find("connected to NATS")).await?;
        }
        let server = Server::new(&listening, log, self.tokens.clone(), index)?;
        server.expect_ready().await?;
        Ok(server)
    }

    pub fn process(&mut self, server: &Server) -> &mut Process {
        &mut self.processes[server.index]
    }

    /// No session of this classroom, now or ever; in a database of its own, none at all.
    pub async fn expect_nothing_written(&self, server: &Server, classroom: &str) -> Result<()> {
        let stays = server.attendance(classroom).await?;
        ensure!(stays.is_empty(), "somebody was in the classroom: {stays:?}");
        let sessions = server.metric("presence_sessions").await?;
        ensure!(sessions == 0, "the server holds {sessions} sessions");
        if let Some(database) = &self.database {
            let rows = "SELECT (SELECT count(*) FROM agent_session) + (SELECT count(*) FROM agent_session_history) \
                        + (SELECT count(*) FROM outbox)";
            let rows = database.query(rows)?;
            ensure!(rows == "0", "{rows} rows of sessions, history and events");
        }
        Ok(())
    }

    /// SIGTERM, and a clean end.
    pub async fn stop(&mut self, server: &Server) -> Result<()> {
        let process = self.process(server);
        process.signal("TERM")?;
        let status = process.end().await?;
        ensure!(status.success(), "after SIGTERM the server ended with {status}");
        Ok(())
    }

    /// Ends what still runs, cleanly, and reads the logs.
    pub async fn finish(&mut self) -> Result<()> {
        for process in &mut self.processes {
            if process.ended()?.is_none() {
                process.signal("TERM")?;
                let status = process.end().await?;
                ensure!(status.success(), "after SIGTERM the server ended with {status}");
            }
        }
        let mut objections = vec![];
        for log in &self.logs {
            objections.extend(log.objections(&self.expected)?);
        }
        ensure!(
            objections.is_empty(),
            "the log says what the scenario does not expect:\n{}",
            objections.join("\n")
        );
        Ok(())
    }

    /// The ends of all logs, for whoever reads why a test failed.
    pub fn tails(&self) -> String {
        let tail =
            |(index, log): (usize, &Log)| format!("--- log of server {index}, its end:\n{}", log.tail());
        self.logs.iter().enumerate().map(tail).collect::<Vec<_>>().join("\n")
    }
}
