//! The server under measurement with all that it needs: its ports, its store and bus, its folder, a token. Its limits
//! on newcomers are raised, because all of them come from one address; everything else is as delivered.

use crate::{
    agent::Target,
    http,
    process::Process,
    services::{Database, STREAM, Services},
};
use anyhow::{Context, Result, bail};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

/// Fields are dropped in this order: the process ends before what it uses is removed.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) process: Process,
    public: SocketAddr,
    metrics: SocketAddr,
    token: Arc<str>,
    _database: Option<Database>,
    _folder: TempDir,
}

type Settings = Vec<(&'static str, String)>;

impl Presence {
    /// On PostgreSQL and NATS; without them alone, on SQLite and its own bus. Returns once it is ready.
    pub(crate) async fn start(services: Option<&Services>) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().context("make a folder for the server")?;
        let [public, internal, metrics] = free_addresses()?;
        let mut env: Settings = vec![
            ("PRESENCE_PUBLIC__ADDR", public.to_string()),
            ("PRESENCE_INTERNAL__ADDR", internal.to_string()),
            ("PRESENCE_METRICS__ADDR", metrics.to_string()),
            ("PRESENCE_DATA_DIR", folder.path().display().to_string()),
            ("PRESENCE_LOG__LEVEL", "warn".into()),
            ("PRESENCE_LOG__FORMAT", "json".into()),
            ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED", "20000".into()),
            ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED_PER_ADDRESS", "20000".into()),
        ];
        let database = services.map(Services::database).transpose()?;
        match (services, &database) {
            (Some(services), Some(database)) => {
                services.forget_stream().await;
                env.push(("PRESENCE_STORE__URL", database.url.clone()));
                env.push(("PRESENCE_BUS__URL", services.nats.clone()));
                env.push(("PRESENCE_BUS__STREAM", STREAM.into()));
            }
            _ => env.push(("PRESENCE_BUS__URL", "in-process".into())),
        }
        command(&program, &["migrate"], &env)?;
        let mint = ["token", "--account", "bench", "--audience", "bench.example", "--ttl", "2h"];
        let token = command(&program, &mint, &env)?.trim().into();
        let log = folder.path().join("presence.log");
        let mut process = Process::start(&program, &["serve"], &env, log)?;
        process.wait_for("readiness", async |_| http::get(metrics, "/readyz").await.ok()).await?;
        Ok(Self { process, public, metrics, token, _database: database, _folder: folder })
    }

    pub(crate) fn target(&self) -> Target {
        Target { address: self.public, token: self.token.clone() }
    }

    /// Statements that the store has run so far; none where they are not counted.
    pub(crate) async fn statements(&self) -> Result<Option<f64>> {
        let page = http::get(self.metrics, "/metrics").await?;
        Ok(http::metric(&page, "store_statements"))
    }
}

fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PRESENCE_BENCH_BIN").context(
        "PRESENCE_BENCH_BIN is not set: it is a release build of presence (`cargo xtask bench` sets it)",
    )?;
    Ok(path.into())
}

/// Runs a subcommand to its end and returns what it prints.
fn command(program: &Path, args: &[&str], env: &Settings) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    let output = command.output().with_context(|| format!("run {} {}", program.display(), args[0]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("presence {} failed ({}): {}", args[0], output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("presence {}: not UTF-8", args[0]))
}

/// Free now, and most likely still when the server binds them.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("find a free port")?;
        *address = listener.local_addr().context("find a free port")?;
        held.push(listener);
    }
    Ok(addresses)
}
