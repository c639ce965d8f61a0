//! PostgreSQL, NATS and Redis for one run: private, on free ports of 127.0.0.1, with throw-away data outside the
//! clone. Owns what tests are told about them (the environment), and `cargo xtask servers`. How long a server lives
//! is `guard.rs`'s; what to start is in a file per server.

pub(crate) mod guard;
mod nats;
mod postgres;
mod redis;
pub(crate) mod run_folder;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use self::guard::Server;
use self::run_folder::RunFolder;
use crate::workspace::Workspace;
use crate::{process, tools};

/// Running servers. Dropping it stops them and then removes their data: the order of the fields is the order.
#[derive(Debug)]
pub(crate) struct Servers {
    _running: Vec<Server>,
    folder: RunFolder,
    env: Vec<(&'static str, String)>,
}

impl Servers {
    /// Makes sure of the programs, starts the servers and waits until each answers.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let (postgres_bin, redis_server, nats_server) =
            (tools::apt::postgres_bin()?, tools::apt::redis_server()?, tools::nats::ensure()?);
        let started = Instant::now();
        let folder = RunFolder::make()?;
        let postgres = postgres::start(&folder, &postgres_bin)?;
        let nats = nats::start(&folder, &nats_server)?;
        let redis = redis::start(&folder, &redis_server)?;
        println!("servers: PostgreSQL, NATS and Redis run ({:.1} s)", started.elapsed().as_secs_f64());
        let built = |name| workspace.built("debug", name).display().to_string();
        let env = vec![
            ("PRESENCE_TEST_POSTGRES", format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port)),
            ("PRESENCE_TEST_PG_BIN", postgres_bin.display().to_string()),
            ("PRESENCE_TEST_NATS", format!("nats://127.0.0.1:{}", nats.port)),
            ("PRESENCE_TEST_NATS_SERVER", nats_server.display().to_string()),
            ("PRESENCE_TEST_REDIS", format!("redis://127.0.0.1:{}", redis.port)),
            ("PRESENCE_TEST_REDIS_SERVER", redis_server.display().to_string()),
            ("PRESENCE_TEST_BIN", built("presence")),
            ("PRESENCE_TEST_REFERENCE", built("presence-reference")),
            ("PRESENCE_TEST_CACHE", tools::cache()?.display().to_string()),
        ];
        Ok(Self { _running: vec![postgres, nats, redis], folder, env })
    }

    pub(crate) fn keep_logs(&self, to: &Path) -> Result<()> {
        self.folder.keep_logs(to)
    }

    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }
}

/// `cargo xtask servers`: until Ctrl-C, or for as long as a command runs.
pub(crate) fn run(workspace: &Workspace, command: &[String]) -> Result<ExitCode> {
    let servers = Servers::start(workspace)?;
    let (program, args) = command.split_first().map_or((None, command), |(it, rest)| (Some(it), rest));
    let mut guest = Command::new(program.map_or("", String::as_str));
    guest.args(args);
    servers.tell(&mut guest);
    tools::tell_of_languages(workspace, &mut guest);
    if program.is_none() {
        for (name, value) in guest.get_envs() {
            println!("export {}='{}'", name.display(), value.unwrap_or_default().display());
        }
        println!("# what BIN and REFERENCE name is built by: cargo build --workspace --bins");
        println!("# until Ctrl-C");
        while process::check_interrupted().is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let status = process::run_guest(&mut guest)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
