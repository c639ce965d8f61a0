//! Socket.IO clients that are not ours: the libraries of npm and of Python, in the scripts of `tests/clients/`. A process
//! plays several people; what happened to each is told in order.

use crate::{
    app::{Opening, Way},
    environment, wait,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tokio::sync::mpsc;

/// Lines that wait for the test; when there are so many, the script stops.
const UNREAD: usize = 1024;
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// npm `socket.io-client`.
    Node,
    /// `PyPI` `python-socketio`.
    Python,
}

#[derive(Debug)]
pub struct Foreign {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<String>,
    /// Of those who were not asked for.
    unheard: HashMap<String, VecDeque<Value>>,
    asked: u64,
    /// By which transport each is connected.
    over: HashMap<String, String>,
    complaints: PathBuf,
    /// All lines so far, for whoever reads why a test failed.
    told: Vec<String>,
}

impl Library {
    /// The script, ready to run from a folder of the test's own.
    fn command(self, folder: &Path) -> Result<Command> {
        if self == Self::Python {
            let mut command = Command::new(environment::python()?);
            command.arg(Path::new(SCRIPTS).join("python/app.py"));
            return Ok(command);
        }
        // Node looks for packages beside the script, and those are in no clone.
        let script = folder.join("app.mjs");
        fs::copy(Path::new(SCRIPTS).join("node/app.mjs"), &script).context("copy the script")?;
        let modules = folder.join("node_modules");
        if !modules.exists() {
            symlink(environment::node_modules()?, &modules).context("link the packages")?;
        }
        let mut command = Command::new(environment::node()?);
        command.arg(script);
        Ok(command)
    }
}

impl Foreign {
    pub fn start(library: Library, folder: &Path) -> Result<Self> {
        let complaints = folder.join(format!("{library:?}.log"));
        let mut command = library.command(folder)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&complaints).context("make a client's log")?);
        let mut child = command.spawn().with_context(|| format!("start {library:?}"))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        Ok(Self {
            child,
            stdin,
            lines: lines_of(stdout),
            unheard: HashMap::new(),
            asked: 0,
            over: HashMap::new(),
            complaints,
            told: vec![],
        })
    }

    fn command(&mut self, who: &str, what: &str, mut more: Value) -> Result<()> {
        more["as"] = who.into();
        more["do"] = what.into();
        writeln!(self.stdin, "{more}").with_context(|| self.so_far())?;
        // Tokens would fill the page.
        if let Some(auth) = more.pointer_mut("/query/auth") {
            *auth = "…".into();
        }
        self.told.push(format!("> {more}"));
        Ok(())
    }

    /// Opens a connection, and does not wait for what comes of it.
    pub fn begin(&mut self, who: &str, to: SocketAddr, opening: &Opening) -> Result<()> {
        let query: HashMap<&str, &str> =
            opening.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut how = json!({ "url": format!("http://{to}"), "query": query });
        match opening.way {
            Way::WebSocket => how["transports"] = json!(["websocket"]),
            Way::Polling => how["transports"] = json!(["polling"]),
            Way::Upgrade => {}
        }
        if let Some(auth) = &opening.auth {
            how["auth"] = auth.clone();
        }
        self.command(who, "connect", how)
    }

    /// Opens a connection, and is let in; returns the socket's id.
    pub async fn connect(&mut self, who: &str, to: SocketAddr, opening: &Opening) -> Result<String> {
        self.begin(who, to, opening)?;
        let connected = self.expect(who, "connected").await?;
        Ok(connected["sid"].as_str().context("a socket has an id")?.to_owned())
    }

    pub fn emit(&mut self, who: &str, event: &str, arg: &Value) -> Result<()> {
        self.command(who, "emit", json!({ "event": event, "args": [arg] }))
    }

    /// Emits, and returns what it is acknowledged with. Events that come before are kept for later.
    pub async fn ask(&mut self, who: &str, event: &str, arg: &Value) -> Result<Value> {
        self.asked += 1;
        let ack = self.asked;
        self.command(who, "emit", json!({ "event": event, "args": [arg], "ack": ack }))?;
        let mut early = VecDeque::new();
        let answer = loop {
            let told = self.next(who).await?;
            match told["is"].as_str() {
                Some("acknowledged") if told["ack"] == ack => break told["args"][0].clone(),
                Some("event" | "upgraded") => early.push_back(told),
                _ => bail!("{who} expected the acknowledgement {ack}; {}", self.so_far()),
            }
        };
        self.unheard.entry(who.to_owned()).or_default().extend(early);
        Ok(answer)
    }

    /// The `data` of a `{"status":"SUCCESS"}`.
    pub async fn ask_well(&mut self, who: &str, event: &str, arg: &Value) -> Result<Value> {
        let answer = self.ask(who, event, arg).await?;
        ensure!(answer["status"] == "SUCCESS", "{who} got {answer}; {}", self.so_far());
        Ok(answer["data"].clone())
    }

    /// Leaves, and knows it; what it heard before and the test did not ask for does not matter any more.
    pub async fn dismiss(&mut self, who: &str) -> Result<()> {
        self.command(who, "disconnect", json!({}))?;
        while self.next(who).await?["is"] != "disconnected" {}
        Ok(())
    }

    /// Leaves, and knows it; nothing was heard before that the test did not ask for.
    pub async fn disconnect(&mut self, who: &str) -> Result<()> {
        self.command(who, "disconnect", json!({}))?;
        self.expect(who, "disconnected").await.map(drop)
    }

    /// Loses its connection without a word. Only Node over WebSocket can.
    pub fn lose(&mut self, who: &str) -> Result<()> {
        self.command(who, "lose", json!({}))
    }

    /// The next thing that happened to this person.
    pub async fn next(&mut self, who: &str) -> Result<Value> {
        loop {
            if let Some(told) = self.unheard.get_mut(who).and_then(VecDeque::pop_front) {
                return Ok(told);
            }
            let line = wait::within("a client to tell something", self.lines.recv()).await;
            let line = line.with_context(|| format!("{who}: {}", self.so_far()))?;
            let line = line.with_context(|| format!("the clients ended; {}", self.so_far()))?;
            let told: Value = serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?;
            self.told.push(line);
            let whose = told["as"].as_str().context("a line is about somebody")?.to_owned();
            if let Some(transport) = told["transport"].as_str() {
                self.over.insert(whose.clone(), transport.to_owned());
            }
            self.unheard.entry(whose).or_default().push_back(told);
        }
    }

    /// The next thing that happened to this person is this. That a connection was upgraded may come in between.
    pub async fn expect(&mut self, who: &str, is: &str) -> Result<Value> {
        loop {
            let told = self.next(who).await?;
            if told["is"] == is {
                return Ok(told);
            }
            ensure!(told["is"] == "upgraded", "{who} expected {is}: {told}; {}", self.so_far());
        }
    }

    /// This person is connected by that transport.
    pub fn ensure_over(&self, who: &str, transport: &str) -> Result<()> {
        let over = self.over.get(who).map_or("nothing", String::as_str);
        ensure!(over == transport, "{who} is connected over {over}, expected {transport}");
        Ok(())
    }

    /// Waits until this person's connection goes over WebSocket. Only Node tells it.
    pub async fn expect_upgraded(&mut self, who: &str) -> Result<()> {
        if self.ensure_over(who, "websocket").is_err() {
            self.expect(who, "upgraded").await?;
        }
        self.ensure_over(who, "websocket")
    }

    /// The next thing that this person hears is this event; returns its arguments.
    pub async fn expect_event(&mut self, who: &str, event: &str) -> Result<Value> {
        let told = self.expect(who, "event").await?;
        ensure!(told["event"] == event, "{who} expected {event}: {told}; {}", self.so_far());
        Ok(told["args"].clone())
    }

    fn so_far(&self) -> String {
        let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
        format!("so far:\n    {}\n{complaints}", self.told.join("\n    "))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended in the meantime, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread, because a pipe is read by blocking. It ends with the process, or with the test.
fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(UNREAD);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
